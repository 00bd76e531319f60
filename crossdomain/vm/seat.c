/*
 * A Weston 14 module: a seat for a headless compositor, driven over a socket.
 *
 * Headless Weston has no wl_seat, and applications such as a terminal end at once without one.  This
 * adds a keyboard and a pointer, tells where windows are, and moves them.  The socket is of type
 * SOCK_SEQPACKET, inherited; its number stands in CROSSDOMAIN_SEAT_FD.  One packet holds one command,
 * and is answered by one packet: "ok", with lines after it where the command asks something, or
 * "error: ...".  An answer says that the event has been given to Weston, not that a client has read it.
 *
 *   key CODE 0|1            evdev code; release or press
 *   time CODE               press, and answer when the window with the keyboard commits next: when each
 *                           was, ns of CLOCK_MONOTONIC; the key stays down
 *   motion X Y              pointer to this place, in global coordinates
 *   button CODE 0|1         evdev code
 *   axis 0|1 VALUE          scroll vertically or horizontally
 *   touch ID 0|1|2 X Y      finger down, up or moved; the first one plugs a touch screen in
 *   views                   one line each: ID X Y WIDTH HEIGHT LABEL
 *   move ID X Y             put the view of a window there
 *   colours ID              how many colours its content has, counted up to 64; what can't be seen has none
 */

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#include <libweston/libweston.h>

#define MAX_CODE 0x300 /* KEY_CNT of linux/input-event-codes.h */
#define MAX_PACKET 65536
#define MAX_COLOURS 64

/* Exported by libweston for its backends, and declared in a header that is not installed. */
void weston_seat_init(struct weston_seat *seat, struct weston_compositor *compositor, const char *name);
int weston_seat_init_keyboard(struct weston_seat *seat, struct xkb_keymap *keymap);
int weston_seat_init_pointer(struct weston_seat *seat);
void weston_seat_release(struct weston_seat *seat);
void notify_key(struct weston_seat *seat, const struct timespec *time, uint32_t key,
                enum wl_keyboard_key_state state, enum weston_key_state_update update);
void notify_motion_absolute(struct weston_seat *seat, const struct timespec *time,
                            struct weston_coord_global position);
void notify_button(struct weston_seat *seat, const struct timespec *time, int32_t button,
                   enum wl_pointer_button_state state);
void notify_axis(struct weston_seat *seat, const struct timespec *time,
                 struct weston_pointer_axis_event *event);
void notify_axis_source(struct weston_seat *seat, uint32_t source);
void notify_pointer_frame(struct weston_seat *seat);
int weston_seat_init_touch(struct weston_seat *seat);
struct weston_touch_device *weston_touch_create_touch_device(struct weston_touch *touch, const char *syspath,
                                                             void *backend_data,
                                                             const struct weston_touch_device_ops *ops);
void weston_touch_device_destroy(struct weston_touch_device *device);
void notify_touch_normalized(struct weston_touch_device *device, const struct timespec *time, int touch_id,
                             const struct weston_coord_global *position,
                             const struct weston_point2d_device_normalized *normalized, int touch_type);
void notify_touch_frame(struct weston_touch_device *device);

struct control {
    struct weston_compositor *compositor;
    struct weston_seat seat;
    struct weston_touch_device *touch_screen; /* NULL until the first touch */
    struct wl_event_source *source;
    struct wl_listener destroyed;
    struct weston_surface *timed; /* whose next commit is waited for; NULL where none is */
    struct timespec timed_from;
    struct wl_listener timed_committed, timed_destroyed;
    int fd;
    bool pressed[MAX_CODE];
};

static char answer[MAX_PACKET];

static void fail(const char *why)
{
    snprintf(answer, sizeof answer, "error: %s", why);
}

/* As libinput does; weston_compositor_get_time() is the time of day. */
static struct timespec now(void)
{
    struct timespec time;

    clock_gettime(CLOCK_MONOTONIC, &time);
    return time;
}

/* Weston loses its pointer focus over a release that had no press. */
static bool change_pressed(struct control *control, unsigned code, unsigned state)
{
    if (code >= MAX_CODE || state > 1) {
        fail("no such code or state");
        return false;
    }
    if (control->pressed[code] == (state != 0)) {
        fail(state ? "already pressed" : "not pressed");
        return false;
    }
    control->pressed[code] = state != 0;
    return true;
}

static void press_key(struct control *control, unsigned code, unsigned state)
{
    struct timespec time = now();

    if (change_pressed(control, code, state))
        notify_key(&control->seat, &time, code, state, STATE_UPDATE_AUTOMATIC);
}

static void say(const struct control *control)
{
    if (send(control->fd, answer, strlen(answer), MSG_NOSIGNAL) < 0)
        weston_log("crossdomain seat: cannot answer: %s\n", strerror(errno));
}

static void stop_timing(struct control *control)
{
    if (!control->timed)
        return;
    wl_list_remove(&control->timed_committed.link);
    wl_list_remove(&control->timed_destroyed.link);
    control->timed = NULL;
}

static void handle_timed_commit(struct wl_listener *listener, void *data)
{
    struct control *control = wl_container_of(listener, control, timed_committed);
    struct timespec to = now(), from = control->timed_from;

    (void)data;
    stop_timing(control);
    snprintf(answer, sizeof answer, "ok\n%lld%09ld %lld%09ld\n", (long long)from.tv_sec, from.tv_nsec,
             (long long)to.tv_sec, to.tv_nsec);
    say(control);
}

static void handle_timed_destroyed(struct wl_listener *listener, void *data)
{
    struct control *control = wl_container_of(listener, control, timed_destroyed);

    (void)data;
    stop_timing(control);
    fail("the window went away");
    say(control);
}

/* Its answer comes later, so nothing is said now where it succeeds. */
static bool time_key(struct control *control, unsigned code)
{
    struct weston_keyboard *keyboard = weston_seat_get_keyboard(&control->seat);

    if (control->timed || !keyboard || !keyboard->focus) {
        fail("no window has the keyboard, or one is timed already");
        return false;
    }
    if (!change_pressed(control, code, 1))
        return false;
    control->timed = keyboard->focus;
    control->timed_committed.notify = handle_timed_commit;
    wl_signal_add(&control->timed->commit_signal, &control->timed_committed);
    control->timed_destroyed.notify = handle_timed_destroyed;
    wl_signal_add(&control->timed->destroy_signal, &control->timed_destroyed);
    control->timed_from = now();
    notify_key(&control->seat, &control->timed_from, code, WL_KEYBOARD_KEY_STATE_PRESSED,
               STATE_UPDATE_AUTOMATIC);
    return true;
}

static void press_button(struct control *control, unsigned code, unsigned state)
{
    struct timespec time = now();

    if (!change_pressed(control, code, state))
        return;
    notify_button(&control->seat, &time, (int32_t)code, state);
    notify_pointer_frame(&control->seat);
}

static void move_pointer(struct control *control, double x, double y)
{
    struct timespec time = now();
    struct weston_coord_global position = {.c = weston_coord(x, y)};

    notify_motion_absolute(&control->seat, &time, position);
    notify_pointer_frame(&control->seat);
}

static void scroll(struct control *control, unsigned axis, double value)
{
    struct timespec time = now();
    struct weston_pointer_axis_event event = {.axis = axis, .value = value};

    if (axis > 1) {
        fail("no such axis");
        return;
    }
    notify_axis_source(&control->seat, WL_POINTER_AXIS_SOURCE_CONTINUOUS);
    notify_axis(&control->seat, &time, &event);
    notify_pointer_frame(&control->seat);
}

static struct weston_touch_device *plug_touch_screen(struct control *control)
{
    struct weston_touch *touch;

    if (!control->touch_screen && weston_seat_init_touch(&control->seat) == 0) {
        touch = weston_seat_get_touch(&control->seat);
        control->touch_screen = weston_touch_create_touch_device(touch, "crossdomain", NULL, NULL);
    }
    return control->touch_screen;
}

static void touch(struct control *control, unsigned id, unsigned type, double x, double y)
{
    struct timespec time = now();
    struct weston_coord_global position = {.c = weston_coord(x, y)};
    struct weston_touch_device *device = plug_touch_screen(control);

    if (!device || type > WL_TOUCH_MOTION) {
        fail("no touch screen, or no such type");
        return;
    }
    notify_touch_normalized(device, &time, (int)id, type == WL_TOUCH_UP ? NULL : &position, NULL, (int)type);
    notify_touch_frame(device);
}

static void list_views(struct control *control)
{
    struct weston_view *view;
    size_t used = (size_t)snprintf(answer, sizeof answer, "ok\n");

    wl_list_for_each(view, &control->compositor->view_list, link) {
        char label[256] = "";
        struct weston_surface *surface = view->surface;
        struct weston_coord_global at;
        int length;

        weston_view_update_transform(view); /* it was moved since the last repaint, perhaps */
        at = weston_coord_surface_to_global(view, weston_coord_surface(0, 0, surface));
        if (surface->get_label)
            surface->get_label(surface, label, sizeof label);
        for (char *c = label; *c; c++)
            if (*c == '\n')
                *c = ' ';
        length = snprintf(answer + used, sizeof answer - used, "%p %.0f %.0f %d %d %s\n", (void *)view,
                          at.c.x, at.c.y, surface->width, surface->height, label);
        if (length < 0 || (size_t)length >= sizeof answer - used)
            break;
        used += (size_t)length;
    }
    answer[used] = '\0';
}

static struct weston_view *find_view(struct control *control, const void *id)
{
    struct weston_view *view;

    wl_list_for_each(view, &control->compositor->view_list, link)
        if (view == id)
            return view;
    return NULL;
}

static void move_view(struct control *control, const void *id, double x, double y)
{
    struct weston_view *view = find_view(control, id);
    struct weston_coord_global position = {.c = weston_coord(x, y)};

    if (!view) {
        fail("no such view");
    } else if (view->geometry.parent) {
        fail("the view is placed by its parent");
    } else {
        weston_view_set_position(view, position);
        weston_compositor_schedule_repaint(control->compositor);
    }
}

/* A window that has been drawn has more than one colour. */
static unsigned count_colours(const uint32_t *pixels, size_t count)
{
    uint32_t seen[MAX_COLOURS];
    unsigned colours = 0;

    for (size_t i = 0; i < count && colours < MAX_COLOURS; i++) {
        unsigned known = 0;

        if (pixels[i] >> 24 == 0)
            continue;
        while (known < colours && seen[known] != pixels[i])
            known++;
        if (known == colours)
            seen[colours++] = pixels[i];
    }
    return colours;
}

static void tell_colours(struct control *control, const void *id)
{
    struct weston_view *view = find_view(control, id);
    int width, height;
    size_t count;
    uint32_t *pixels;
    unsigned colours = 0;

    if (!view) {
        fail("no such view");
        return;
    }
    weston_surface_get_content_size(view->surface, &width, &height);
    count = (size_t)width * (size_t)height;
    pixels = count ? calloc(count, sizeof *pixels) : NULL;
    /* It has no content before the renderer has seen it, which is with its output's next picture. */
    if (pixels &&
        weston_surface_copy_content(view->surface, pixels, count * sizeof *pixels, 0, 0, width, height) >= 0)
        colours = count_colours(pixels, count);
    snprintf(answer, sizeof answer, "ok\n%u\n", colours);
    free(pixels);
}

/* Whether the answer is there; where not, it is said later. */
static bool obey(struct control *control, const char *command)
{
    unsigned code, state;
    double x, y;
    void *id;

    strcpy(answer, "ok");
    if (sscanf(command, "key %u %u", &code, &state) == 2)
        press_key(control, code, state);
    else if (sscanf(command, "time %u", &code) == 1)
        return !time_key(control, code);
    else if (sscanf(command, "button %u %u", &code, &state) == 2)
        press_button(control, code, state);
    else if (sscanf(command, "motion %lf %lf", &x, &y) == 2)
        move_pointer(control, x, y);
    else if (sscanf(command, "axis %u %lf", &code, &x) == 2)
        scroll(control, code, x);
    else if (sscanf(command, "touch %u %u %lf %lf", &code, &state, &x, &y) == 4)
        touch(control, code, state, x, y);
    else if (strcmp(command, "views") == 0)
        list_views(control);
    else if (sscanf(command, "move %p %lf %lf", &id, &x, &y) == 3)
        move_view(control, id, x, y);
    else if (sscanf(command, "colours %p", &id) == 1)
        tell_colours(control, id);
    else
        fail("no such command");
    return true;
}

static void stop_listening(struct control *control)
{
    if (control->source)
        wl_event_source_remove(control->source);
    control->source = NULL;
}

static int handle_readable(int fd, uint32_t mask, void *data)
{
    struct control *control = data;
    char command[256];
    ssize_t length;

    (void)mask;
    length = recv(fd, command, sizeof command - 1, MSG_DONTWAIT);
    if (length < 0 && (errno == EAGAIN || errno == EINTR))
        return 0;
    if (length <= 0) {
        stop_listening(control);
        return 0;
    }
    command[length] = '\0';
    if (obey(control, command))
        say(control);
    return 0;
}

static void handle_destroyed(struct wl_listener *listener, void *data)
{
    struct control *control = wl_container_of(listener, control, destroyed);

    (void)data;
    stop_listening(control);
    stop_timing(control);
    wl_list_remove(&control->destroyed.link);
    if (control->touch_screen)
        weston_touch_device_destroy(control->touch_screen);
    weston_seat_release(&control->seat);
    free(control);
}

WL_EXPORT int wet_module_init(struct weston_compositor *compositor, int *argc, char *argv[])
{
    const char *number = getenv("CROSSDOMAIN_SEAT_FD");
    struct control *control = calloc(1, sizeof *control);

    (void)argc;
    (void)argv;
    if (!number || !control) {
        free(control);
        return -1;
    }
    control->fd = atoi(number);
    control->compositor = compositor;
    unsetenv("CROSSDOMAIN_SEAT_FD");
    fcntl(control->fd, F_SETFD, FD_CLOEXEC);
    weston_seat_init(&control->seat, compositor, "crossdomain");
    if (weston_seat_init_keyboard(&control->seat, NULL) < 0 || weston_seat_init_pointer(&control->seat) < 0) {
        weston_seat_release(&control->seat);
        free(control);
        return -1;
    }
    control->destroyed.notify = handle_destroyed;
    wl_signal_add(&compositor->destroy_signal, &control->destroyed);
    control->source = wl_event_loop_add_fd(wl_display_get_event_loop(compositor->wl_display), control->fd,
                                           WL_EVENT_READABLE, handle_readable, control);
    return control->source ? 0 : -1;
}
