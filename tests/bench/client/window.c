/* See window.h. */
#define _GNU_SOURCE
#include "window.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define WORDS(...) (const uint32_t[]){ __VA_ARGS__ }, sizeof((const uint32_t[]){ __VA_ARGS__ }) / 4

enum { WL_DISPLAY_SYNC = 0, WL_DISPLAY_GET_REGISTRY = 1 };
enum { WL_DISPLAY_ERROR = 0, WL_DISPLAY_DELETE_ID = 1 };
enum { WL_REGISTRY_GLOBAL = 0 };
enum { WL_COMPOSITOR_CREATE_SURFACE = 0 };
enum { WL_SHM_CREATE_POOL = 0, WL_SHM_FORMAT_XRGB8888 = 1 };
enum { WL_SHM_POOL_CREATE_BUFFER = 0, WL_SHM_POOL_DESTROY = 1 };
enum { WL_BUFFER_RELEASE = 0 };
enum { WL_SEAT_GET_KEYBOARD = 1, WL_KEYBOARD_ENTER = 1, WL_KEYBOARD_LEAVE = 2, WL_KEYBOARD_KEY = 3 };
enum { WL_SURFACE_ATTACH = 1, WL_SURFACE_FRAME = 3, WL_SURFACE_COMMIT = 6, WL_SURFACE_DAMAGE_BUFFER = 9 };
enum { XDG_WM_BASE_GET_XDG_SURFACE = 2, XDG_WM_BASE_PONG = 3, XDG_WM_BASE_PING = 0 };
enum { XDG_SURFACE_GET_TOPLEVEL = 1, XDG_SURFACE_ACK_CONFIGURE = 4, XDG_SURFACE_CONFIGURE = 0 };
enum { XDG_TOPLEVEL_SET_TITLE = 2, XDG_TOPLEVEL_SET_APP_ID = 3 };

static void bind_global(struct window *window, const struct event *event, uint32_t *id, uint32_t version)
{
	*id = new_id(&window->wire);
	request_bind(&window->wire, window->registry, event->words[0], (const char *)(event->words + 2),
		     version, *id);
}

static void handle_global(struct window *window, const struct event *event)
{
	const char *interface = (const char *)(event->words + 2);

	if (!strcmp(interface, "wl_compositor"))
		bind_global(window, event, &window->compositor, 4);
	else if (!strcmp(interface, "wl_shm"))
		bind_global(window, event, &window->shm, 1);
	else if (!strcmp(interface, "xdg_wm_base"))
		bind_global(window, event, &window->wm_base, 1);
	else if (!strcmp(interface, "wl_seat"))
		window->seat_name = event->words[0];
}

static void handle_display(struct window *window, const struct event *event)
{
	errno = 0;
	if (event->opcode == WL_DISPLAY_ERROR)
		die("protocol error %u on object %u: %s", event->words[1], event->words[0],
		    (const char *)(event->words + 3));
	if (event->opcode == WL_DISPLAY_DELETE_ID)
		free_id(&window->wire, event->words[0]);
}

static void handle_release(struct window *window, uint32_t id)
{
	for (int i = 0; i < window->buffer_count; i++)
		if (window->buffers[i].id == id)
			window->buffers[i].busy = false;
}

static void handle_keyboard(struct window *window, const struct event *event)
{
	if (event->opcode == WL_KEYBOARD_ENTER)
		window->focused = true;
	else if (event->opcode == WL_KEYBOARD_LEAVE)
		window->focused = false;
	else if (event->opcode == WL_KEYBOARD_KEY && event->words[3])
		window->presses++;
}

static void handle_event(struct window *window, const struct event *event)
{
	struct connection *wire = &window->wire;

	if (event->object == DISPLAY_ID) {
		handle_display(window, event);
	} else if (event->object == window->registry) {
		if (event->opcode == WL_REGISTRY_GLOBAL)
			handle_global(window, event);
	} else if (event->object == window->callback) {
		window->callback = 0;
	} else if (event->object == window->wm_base) {
		if (event->opcode == XDG_WM_BASE_PING)
			request(wire, window->wm_base, XDG_WM_BASE_PONG, event->words, 1);
	} else if (window->keyboard && event->object == window->keyboard) {
		handle_keyboard(window, event);
	} else if (window->xdg_surface && event->object == window->xdg_surface) {
		if (event->opcode == XDG_SURFACE_CONFIGURE) {
			request(wire, window->xdg_surface, XDG_SURFACE_ACK_CONFIGURE, event->words, 1);
			window->configured = true;
		}
	} else if (event->opcode == WL_BUFFER_RELEASE) {
		handle_release(window, event->object);
	}
}

void window_dispatch(struct window *window)
{
	struct event event;

	flush(&window->wire);
	receive(&window->wire);
	while (next_event(&window->wire, &event))
		handle_event(window, &event);
}

void window_round_trip(struct window *window)
{
	uint32_t id = new_id(&window->wire);

	window->callback = id;
	request(&window->wire, DISPLAY_ID, WL_DISPLAY_SYNC, &id, 1);
	while (window->callback)
		window_dispatch(window);
}

void window_connect(struct window *window)
{
	memset(window, 0, sizeof *window);
	connection_open(&window->wire);
	window->registry = new_id(&window->wire);
	request(&window->wire, DISPLAY_ID, WL_DISPLAY_GET_REGISTRY, &window->registry, 1);
	window_round_trip(window);
	if (!window->compositor || !window->shm || !window->wm_base) {
		errno = 0;
		die("the compositor lacks wl_compositor, wl_shm or xdg_wm_base");
	}
}

void window_create_surface(struct window *window)
{
	window->surface = new_id(&window->wire);
	request(&window->wire, window->compositor, WL_COMPOSITOR_CREATE_SURFACE, &window->surface, 1);
}

static void create_buffers(struct window *window)
{
	struct connection *wire = &window->wire;
	uint32_t width = (uint32_t)window->width, height = (uint32_t)window->height;
	size_t size = (size_t)width * height * 4;
	size_t total = size * (size_t)window->buffer_count;
	int fd = memfd_create("bench", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	uint32_t pool = new_id(wire);
	uint8_t *pixels;

	if (fd < 0 || ftruncate(fd, (off_t)total) < 0 || fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK) < 0)
		die("make %zu bytes of shared memory", total);
	pixels = mmap(NULL, total, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (pixels == MAP_FAILED)
		die("map %zu bytes", total);
	request_fd(wire, window->shm, WL_SHM_CREATE_POOL, WORDS(pool, (uint32_t)total), fd);
	close(fd);
	for (int i = 0; i < window->buffer_count; i++) {
		struct buffer *buffer = &window->buffers[i];
		size_t offset = size * (size_t)i;

		buffer->id = new_id(wire);
		buffer->pixels = (uint32_t *)(void *)(pixels + offset);
		request(wire, pool, WL_SHM_POOL_CREATE_BUFFER,
			WORDS(buffer->id, (uint32_t)offset, width, height, width * 4,
			      WL_SHM_FORMAT_XRGB8888));
	}
	request(wire, pool, WL_SHM_POOL_DESTROY, NULL, 0);
}

void window_create(struct window *window, int width, int height, int buffer_count)
{
	struct connection *wire = &window->wire;

	window->width = width;
	window->height = height;
	window->buffer_count = buffer_count;
	window_create_surface(window);
	window->xdg_surface = new_id(wire);
	window->toplevel = new_id(wire);
	request(wire, window->wm_base, XDG_WM_BASE_GET_XDG_SURFACE,
		WORDS(window->xdg_surface, window->surface));
	request(wire, window->xdg_surface, XDG_SURFACE_GET_TOPLEVEL, &window->toplevel, 1);
	request_text(wire, window->toplevel, XDG_TOPLEVEL_SET_TITLE, "bench");
	request_text(wire, window->toplevel, XDG_TOPLEVEL_SET_APP_ID, "bench");
	request(wire, window->surface, WL_SURFACE_COMMIT, NULL, 0);
	while (!window->configured)
		window_dispatch(window);
	create_buffers(window);
}

void window_take_keyboard(struct window *window)
{
	struct connection *wire = &window->wire;
	uint32_t seat = new_id(wire);

	errno = 0;
	if (!window->seat_name)
		die("the compositor lacks wl_seat");
	request_bind(wire, window->registry, window->seat_name, "wl_seat", 1, seat);
	window->keyboard = new_id(wire);
	request(wire, seat, WL_SEAT_GET_KEYBOARD, &window->keyboard, 1);
	while (!window->focused)
		window_dispatch(window);
}

void window_commit(struct window *window)
{
	request(&window->wire, window->surface, WL_SURFACE_COMMIT, NULL, 0);
	flush(&window->wire);
}

static struct buffer *find_free_buffer(struct window *window, int first)
{
	for (int i = 0; i < window->buffer_count; i++) {
		int index = (first + i) % window->buffer_count;

		if (!window->buffers[index].busy) {
			window->last_buffer = index;
			return &window->buffers[index];
		}
	}
	return NULL;
}

struct buffer *window_free_buffer(struct window *window, bool in_turn)
{
	struct buffer *buffer;

	while (!(buffer = find_free_buffer(window, in_turn ? window->last_buffer + 1 : 0)))
		window_dispatch(window);
	return buffer;
}

void window_present(struct window *window, struct buffer *buffer, struct rectangle damage, bool frame)
{
	struct connection *wire = &window->wire;

	request(wire, window->surface, WL_SURFACE_ATTACH, WORDS(buffer->id, 0, 0));
	request(wire, window->surface, WL_SURFACE_DAMAGE_BUFFER,
		WORDS((uint32_t)damage.x, (uint32_t)damage.y, (uint32_t)damage.width,
		      (uint32_t)damage.height));
	if (frame) {
		window->callback = new_id(wire);
		request(wire, window->surface, WL_SURFACE_FRAME, &window->callback, 1);
	}
	request(wire, window->surface, WL_SURFACE_COMMIT, NULL, 0);
	buffer->busy = true;
	flush(wire);
}
