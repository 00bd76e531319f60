/*
 * A Weston 14 module: where new windows go.
 *
 * The desktop shell places a new window at random, and may so hide another one's button, or leave a frame
 * that lies around the window's own surface beyond the screen's edge.  Here it gets the first place, row by
 * row, where it covers least of the windows that are there, and has room for a frame: a picture of the screen
 * depends on the clients alone.
 */

#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include <libweston/libweston.h>

#define ABOVE 40 /* px of a window's frame: its title bar */
#define AROUND 8 /* its other sides */
#define STEP 16  /* px from one place that is tried to the next */
#define MANY 100 /* windows that are looked at: with more of them there is no good place anyway */

struct placement {
    struct weston_compositor *compositor;
    struct wl_list surfaces; /* all of them: the compositor's list of views waits for the next picture */
    struct wl_listener surface_created, destroyed;
};

struct known {
    struct placement *placement;
    struct weston_surface *surface;
    struct wl_list link;
    struct wl_listener mapped, destroyed;
};

struct rectangle {
    int x, y, width, height;
};

static bool is_window(struct weston_surface *surface)
{
    const char *role = weston_surface_get_role(surface);

    return role && strcmp(role, "xdg_toplevel") == 0;
}

static struct rectangle with_frame(int x, int y, const struct weston_surface *surface)
{
    return (struct rectangle){x - AROUND, y - ABOVE, surface->width + 2 * AROUND,
                              surface->height + ABOVE + AROUND};
}

static long long shared(int begin, int length, int other_begin, int other_length)
{
    int from = begin > other_begin ? begin : other_begin;
    int end = begin + length, other_end = other_begin + other_length;
    int to = end < other_end ? end : other_end;

    return to > from ? to - from : 0;
}

/* Where the other windows are, frames included: the newest of them, which hide the rest. */
static size_t find_others(const struct placement *placement, const struct weston_surface *surface,
                          struct rectangle others[MANY])
{
    struct known *known;
    size_t count = 0;

    wl_list_for_each(known, &placement->surfaces, link) {
        struct weston_surface *other = known->surface;
        struct weston_view *view;
        struct weston_coord_global at;

        if (other == surface || !is_window(other) || !weston_surface_is_mapped(other) ||
            wl_list_empty(&other->views))
            continue;
        view = wl_container_of(other->views.next, view, surface_link);
        weston_view_update_transform(view);
        at = weston_coord_surface_to_global(view, weston_coord_surface(0, 0, other));
        others[count++] = with_frame((int)at.c.x, (int)at.c.y, other);
        if (count == MANY)
            break;
    }
    return count;
}

/* How much of them it covers; `bound` is enough. */
static long long cover(struct rectangle it, const struct rectangle *others, size_t count, long long bound)
{
    long long area = 0;

    for (size_t i = 0; i < count && area < bound; i++)
        area += shared(it.x, it.width, others[i].x, others[i].width) *
                shared(it.y, it.height, others[i].y, others[i].height);
    return area;
}

static int smaller(int one, int other)
{
    return one < other ? one : other;
}

static void place(const struct placement *placement, struct weston_surface *surface, struct weston_view *view)
{
    struct weston_output *output = wl_container_of(placement->compositor->output_list.next, output, link);
    int room_x = output->width - surface->width, room_y = output->height - surface->height;
    int first_x = smaller(AROUND, room_x), first_y = smaller(ABOVE, room_y);
    long long least = LLONG_MAX;
    struct weston_coord_global chosen;
    struct rectangle others[MANY];
    size_t count;

    /* Full screen and maximised windows are where they have to be; there is no good place for larger ones. */
    if (room_x <= 0 || room_y <= 0)
        return;
    count = find_others(placement, surface, others);
    for (int y = first_y; y <= room_y - AROUND || y == first_y; y += STEP)
        for (int x = first_x; x <= room_x - AROUND || x == first_x; x += STEP) {
            long long area = cover(with_frame(x, y, surface), others, count, least);

            if (area < least) {
                least = area;
                chosen.c = weston_coord(output->pos.c.x + x, output->pos.c.y + y);
            }
        }
    weston_view_set_position(view, chosen);
}

static void handle_surface_destroyed(struct wl_listener *listener, void *data)
{
    struct known *known = wl_container_of(listener, known, destroyed);

    (void)data;
    wl_list_remove(&known->link);
    wl_list_remove(&known->mapped.link);
    wl_list_remove(&known->destroyed.link);
    free(known);
}

/* The shell has just placed it. */
static void handle_mapped(struct wl_listener *listener, void *data)
{
    struct known *known = wl_container_of(listener, known, mapped);
    struct weston_surface *surface = data;
    struct weston_view *view;

    if (!is_window(surface) || wl_list_empty(&surface->views) ||
        wl_list_empty(&known->placement->compositor->output_list))
        return;
    view = wl_container_of(surface->views.next, view, surface_link);
    place(known->placement, surface, view);
}

static void handle_surface_created(struct wl_listener *listener, void *data)
{
    struct placement *placement = wl_container_of(listener, placement, surface_created);
    struct weston_surface *surface = data;
    struct known *known = calloc(1, sizeof *known);

    if (!known)
        return;
    known->placement = placement;
    known->surface = surface;
    wl_list_insert(&placement->surfaces, &known->link);
    known->mapped.notify = handle_mapped;
    wl_signal_add(&surface->map_signal, &known->mapped);
    known->destroyed.notify = handle_surface_destroyed;
    wl_signal_add(&surface->destroy_signal, &known->destroyed);
}

static void handle_destroyed(struct wl_listener *listener, void *data)
{
    struct placement *placement = wl_container_of(listener, placement, destroyed);
    struct known *known, *next;

    (void)data;
    /* Surfaces may live longer. */
    wl_list_for_each_safe(known, next, &placement->surfaces, link) {
        wl_list_remove(&known->link);
        wl_list_init(&known->link);
    }
    wl_list_remove(&placement->surface_created.link);
    wl_list_remove(&placement->destroyed.link);
    free(placement);
}

WL_EXPORT int wet_module_init(struct weston_compositor *compositor, int *argc, char *argv[])
{
    struct placement *placement = calloc(1, sizeof *placement);

    (void)argc;
    (void)argv;
    if (!placement)
        return -1;
    placement->compositor = compositor;
    wl_list_init(&placement->surfaces);
    placement->surface_created.notify = handle_surface_created;
    wl_signal_add(&compositor->create_surface_signal, &placement->surface_created);
    placement->destroyed.notify = handle_destroyed;
    wl_signal_add(&compositor->destroy_signal, &placement->destroyed);
    return 0;
}
