/*
 * A Weston 14 module: a second output for a headless compositor, right of the first and like it.
 */

#include <libweston/libweston.h>
#include <libweston/windowed-output-api.h>

WL_EXPORT int wet_module_init(struct weston_compositor *compositor, int *argc, char *argv[])
{
    const struct weston_windowed_output_api *api =
        weston_windowed_output_get_api(compositor, WESTON_WINDOWED_OUTPUT_HEADLESS);
    struct weston_head *head;

    (void)argc;
    (void)argv;
    if (!api || wl_list_empty(&compositor->head_list))
        return -1;
    head = wl_container_of(compositor->head_list.next, head, compositor_link);
    return api->create_head(head->backend, "second");
}
