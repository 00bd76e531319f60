/*
 * Loaded into sway (LD_PRELOAD): what a headless wlroots lacks, a tablet with a pen, a touch pad, and gamma ramps.
 *
 * Only the devices are made up: sway and wlroots treat them as they treat those of libinput and DRM.  Commands
 * come from a socket of type SOCK_SEQPACKET, inherited; its number stands in SWAY_DEVICES_FD.  One packet holds
 * one command and is answered by one packet, "ok" or "error: ...", once sway has handled it.  Places are
 * fractions of the screen.
 *
 *   tablet                    plug the tablet in; its pen is known with the first proximity
 *   pen 0|1 X Y               the pen leaves or comes near
 *   draw X Y PRESSURE         it moves; PRESSURE is 0 to 1
 *   tilt X Y                  it leans, by degrees from upright
 *   tip 0|1 X Y               it is lifted or touches
 *   stylus CODE 0|1           a button of it is released or pressed
 *   remove                    the pen and its tablet are unplugged
 *   touchpad                  plug the touch pad in
 *   wheel VALUE120            it scrolls down as a wheel does: 120 are a click
 *   swipe FINGERS | swipe-update DX DY | swipe-end CANCELLED
 *   pinch FINGERS | pinch-update DX DY SCALE ROTATION | pinch-end CANCELLED
 *   hold FINGERS | hold-end CANCELLED
 *   gamma                     "ok HEX": the ramps that the first output has, red, green and blue
 */

#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#include <wlr/backend.h>
#include <wlr/interfaces/wlr_output.h>
#include <wlr/interfaces/wlr_pointer.h>
#include <wlr/interfaces/wlr_tablet_tool.h>

#define GAMMA_SIZE 256

static struct wlr_backend *backend;
static struct wl_listener new_output;
static const struct wlr_output_impl *headless_impl;
static struct wlr_output_impl output_impl;
static uint16_t ramps[3 * GAMMA_SIZE];

static const struct wlr_tablet_impl tablet_impl = {.name = "made up"};
static const struct wlr_pointer_impl pointer_impl = {.name = "made up"};
static struct wlr_tablet tablet;
static struct wlr_tablet_tool pen;
static struct wlr_pointer touchpad;

static uint32_t now(void)
{
    struct timespec time;

    clock_gettime(CLOCK_MONOTONIC, &time);
    return (uint32_t)(time.tv_sec * 1000 + time.tv_nsec / 1000000);
}

/* Outputs. */

static size_t get_gamma_size(struct wlr_output *output)
{
    (void)output;
    return GAMMA_SIZE;
}

/* What the headless backend does without the ramps, which it refuses; it knows its outputs by their impl. */
static bool apply(struct wlr_output *output, const struct wlr_output_state *state, bool commit)
{
    struct wlr_output_state others = *state;
    bool done;

    others.committed &= ~(uint32_t)WLR_OUTPUT_STATE_GAMMA_LUT;
    output->impl = headless_impl;
    done = commit || !headless_impl->test ? headless_impl->commit(output, &others)
                                          : headless_impl->test(output, &others);
    output->impl = &output_impl;
    if (done && commit && state->committed & WLR_OUTPUT_STATE_GAMMA_LUT) {
        memset(ramps, 0, sizeof ramps);
        if (state->gamma_lut_size == GAMMA_SIZE)
            memcpy(ramps, state->gamma_lut, sizeof ramps);
    }
    return done;
}

static bool test_output(struct wlr_output *output, const struct wlr_output_state *state)
{
    return apply(output, state, false);
}

static bool commit_output(struct wlr_output *output, const struct wlr_output_state *state)
{
    return apply(output, state, true);
}

static void destroy_output(struct wlr_output *output)
{
    output->impl = headless_impl;
    headless_impl->destroy(output);
}

static void handle_new_output(struct wl_listener *listener, void *data)
{
    struct wlr_output *output = data;

    (void)listener;
    headless_impl = output->impl;
    output_impl = *headless_impl;
    output_impl.get_gamma_size = get_gamma_size;
    output_impl.test = test_output;
    output_impl.commit = commit_output;
    output_impl.destroy = destroy_output;
    output->impl = &output_impl;
}

static void tell_ramps(char *answer)
{
    strcpy(answer, "ok ");
    for (size_t i = 0; i < 3 * GAMMA_SIZE; i++)
        sprintf(answer + 3 + 4 * i, "%04x", ramps[i]);
}

/* The tablet. */

static void plug_tablet(void)
{
    wlr_tablet_init(&tablet, &tablet_impl, "Wide tablet");
    tablet.width_mm = 300;
    tablet.height_mm = 200;
    pen = (struct wlr_tablet_tool){
        .type = WLR_TABLET_TOOL_TYPE_PEN, .hardware_serial = 0x12345678ABCDu, .pressure = true, .tilt = true};
    wl_signal_init(&pen.events.destroy);
    wl_signal_emit_mutable(&backend->events.new_input, &tablet.base);
}

static void bring_pen(unsigned in, double x, double y)
{
    struct wlr_tablet_tool_proximity_event event = {
        .tablet = &tablet, .tool = &pen, .time_msec = now(), .x = x, .y = y, .state = in};

    wl_signal_emit_mutable(&tablet.events.proximity, &event);
}

static void draw(double x, double y, double pressure)
{
    struct wlr_tablet_tool_axis_event event = {.tablet = &tablet,
                                               .tool = &pen,
                                               .time_msec = now(),
                                               .updated_axes = WLR_TABLET_TOOL_AXIS_X |
                                                               WLR_TABLET_TOOL_AXIS_Y |
                                                               WLR_TABLET_TOOL_AXIS_PRESSURE,
                                               .x = x,
                                               .y = y,
                                               .pressure = pressure};

    wl_signal_emit_mutable(&tablet.events.axis, &event);
}

static void tilt(double x, double y)
{
    struct wlr_tablet_tool_axis_event event = {.tablet = &tablet,
                                               .tool = &pen,
                                               .time_msec = now(),
                                               .updated_axes = WLR_TABLET_TOOL_AXIS_TILT_X |
                                                               WLR_TABLET_TOOL_AXIS_TILT_Y,
                                               .tilt_x = x,
                                               .tilt_y = y};

    wl_signal_emit_mutable(&tablet.events.axis, &event);
}

static void touch_down(unsigned down, double x, double y)
{
    struct wlr_tablet_tool_tip_event event = {
        .tablet = &tablet, .tool = &pen, .time_msec = now(), .x = x, .y = y, .state = down};

    wl_signal_emit_mutable(&tablet.events.tip, &event);
}

static void press_stylus(unsigned code, unsigned pressed)
{
    struct wlr_tablet_tool_button_event event = {
        .tablet = &tablet, .tool = &pen, .time_msec = now(), .button = code, .state = pressed};

    wl_signal_emit_mutable(&tablet.events.button, &event);
}

static void remove_tablet(void)
{
    wl_signal_emit_mutable(&pen.events.destroy, &pen);
    wlr_tablet_finish(&tablet);
}

/* The touch pad. */

static void plug_touchpad(void)
{
    wlr_pointer_init(&touchpad, &pointer_impl, "Touch pad");
    wl_signal_emit_mutable(&backend->events.new_input, &touchpad.base);
}

static void turn_wheel(int value120)
{
    struct wlr_pointer_axis_event event = {.pointer = &touchpad,
                                           .time_msec = now(),
                                           .source = WL_POINTER_AXIS_SOURCE_WHEEL,
                                           .orientation = WL_POINTER_AXIS_VERTICAL_SCROLL,
                                           .delta = 15.0 * value120 / 120,
                                           .delta_discrete = value120};

    wl_signal_emit_mutable(&touchpad.events.axis, &event);
    wl_signal_emit_mutable(&touchpad.events.frame, &touchpad);
}

static void begin(struct wl_signal *gesture, unsigned fingers)
{
    struct wlr_pointer_swipe_begin_event event = {
        .pointer = &touchpad, .time_msec = now(), .fingers = fingers}; /* the same for every gesture */

    wl_signal_emit_mutable(gesture, &event);
}

static void end(struct wl_signal *gesture, unsigned cancelled)
{
    struct wlr_pointer_swipe_end_event event = {
        .pointer = &touchpad, .time_msec = now(), .cancelled = cancelled != 0}; /* the same for every gesture */

    wl_signal_emit_mutable(gesture, &event);
}

static void update_swipe(double dx, double dy)
{
    struct wlr_pointer_swipe_update_event event = {
        .pointer = &touchpad, .time_msec = now(), .dx = dx, .dy = dy};

    wl_signal_emit_mutable(&touchpad.events.swipe_update, &event);
}

static void update_pinch(double dx, double dy, double scale, double rotation)
{
    struct wlr_pointer_pinch_update_event event = {.pointer = &touchpad,
                                                   .time_msec = now(),
                                                   .dx = dx,
                                                   .dy = dy,
                                                   .scale = scale,
                                                   .rotation = rotation};

    wl_signal_emit_mutable(&touchpad.events.pinch_update, &event);
}

/* Commands. */

static bool use_tablet(const char *command)
{
    unsigned number, state;
    double x, y, z;

    if (strcmp(command, "tablet") == 0)
        plug_tablet();
    else if (sscanf(command, "pen %u %lf %lf", &state, &x, &y) == 3)
        bring_pen(state, x, y);
    else if (sscanf(command, "draw %lf %lf %lf", &x, &y, &z) == 3)
        draw(x, y, z);
    else if (sscanf(command, "tilt %lf %lf", &x, &y) == 2)
        tilt(x, y);
    else if (sscanf(command, "tip %u %lf %lf", &state, &x, &y) == 3)
        touch_down(state, x, y);
    else if (sscanf(command, "stylus %u %u", &number, &state) == 2)
        press_stylus(number, state);
    else if (strcmp(command, "remove") == 0)
        remove_tablet();
    else
        return false;
    return true;
}

static bool use_touchpad(const char *command)
{
    unsigned number;
    int value120;
    double x, y, z, w;

    if (strcmp(command, "touchpad") == 0)
        plug_touchpad();
    else if (sscanf(command, "wheel %d", &value120) == 1)
        turn_wheel(value120);
    else if (sscanf(command, "swipe %u", &number) == 1)
        begin(&touchpad.events.swipe_begin, number);
    else if (sscanf(command, "swipe-update %lf %lf", &x, &y) == 2)
        update_swipe(x, y);
    else if (sscanf(command, "swipe-end %u", &number) == 1)
        end(&touchpad.events.swipe_end, number);
    else if (sscanf(command, "pinch %u", &number) == 1)
        begin(&touchpad.events.pinch_begin, number);
    else if (sscanf(command, "pinch-update %lf %lf %lf %lf", &x, &y, &z, &w) == 4)
        update_pinch(x, y, z, w);
    else if (sscanf(command, "pinch-end %u", &number) == 1)
        end(&touchpad.events.pinch_end, number);
    else if (sscanf(command, "hold %u", &number) == 1)
        begin(&touchpad.events.hold_begin, number);
    else if (sscanf(command, "hold-end %u", &number) == 1)
        end(&touchpad.events.hold_end, number);
    else
        return false;
    return true;
}

static int handle_readable(int fd, uint32_t mask, void *data)
{
    char command[128], answer[4 + 4 * 3 * GAMMA_SIZE] = "ok";
    ssize_t length = recv(fd, command, sizeof command - 1, MSG_DONTWAIT);

    (void)mask;
    (void)data;
    if (length <= 0)
        return 0;
    command[length] = '\0';
    if (strcmp(command, "gamma") == 0)
        tell_ramps(answer);
    else if (!use_tablet(command) && !use_touchpad(command))
        strcpy(answer, "error: no such command");
    send(fd, answer, strlen(answer), MSG_NOSIGNAL);
    return 0;
}

/* sway makes its backend with this; ours comes first. */
struct wlr_backend *wlr_backend_autocreate(struct wl_event_loop *loop, struct wlr_session **session)
{
    struct wlr_backend *(*create)(struct wl_event_loop *, struct wlr_session **) =
        (struct wlr_backend * (*)(struct wl_event_loop *, struct wlr_session **))
            dlsym(RTLD_NEXT, "wlr_backend_autocreate");
    int fd = atoi(getenv("SWAY_DEVICES_FD"));

    unsetenv("LD_PRELOAD");
    fcntl(fd, F_SETFD, FD_CLOEXEC);
    backend = create(loop, session);
    new_output.notify = handle_new_output;
    wl_signal_add(&backend->events.new_output, &new_output);
    wl_event_loop_add_fd(loop, fd, WL_EVENT_READABLE, handle_readable, NULL);
    return backend;
}
