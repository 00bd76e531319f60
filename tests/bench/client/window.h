/* A client of the compositor: its globals, and one xdg-shell toplevel with shared-memory buffers. */
#ifndef CROSSDOMAIN_BENCH_WINDOW_H
#define CROSSDOMAIN_BENCH_WINDOW_H

#include "wire.h"

enum { MAX_BUFFERS = 4 };

struct buffer {
	uint32_t id;
	uint32_t *pixels;
	bool busy;	/* the compositor may still read it: no wl_buffer.release yet */
	uint32_t next_frame;	/* the first that it has nothing of */
};

struct window {
	struct connection wire;
	uint32_t registry, compositor, shm, wm_base;
	uint32_t surface, xdg_surface, toplevel;
	uint32_t seat_name;	/* of the seat's global; 0 where there is none */
	uint32_t keyboard;
	bool focused;		/* has the keyboard */
	unsigned presses;	/* keys that went down */
	uint32_t callback;	/* the sync or frame callback waited for; 0 once it is done */
	bool configured;
	int width, height;	/* px */
	int buffer_count;
	int last_buffer;	/* index of the one that was returned last */
	struct buffer buffers[MAX_BUFFERS];
};

struct rectangle {
	int x, y, width, height;	/* px */
};

/* Connects and binds wl_compositor, wl_shm and xdg_wm_base. */
void window_connect(struct window *window);

/* Makes a surface without a role. */
void window_create_surface(struct window *window);

/* Makes the toplevel with `buffer_count` buffers in one sealed memfd, and waits for its first
 * configure. */
void window_create(struct window *window, int width, int height, int buffer_count);

/* Waits until the window has the keyboard. */
void window_take_keyboard(struct window *window);

/* A commit without anything new. */
void window_commit(struct window *window);

/* Sends what is queued, reads once (blocking) and handles every event that came. */
void window_dispatch(struct window *window);

/* One wl_display.sync and its answer. */
void window_round_trip(struct window *window);

/* Returns a buffer that the compositor does not hold, the first or the next in turn; waits for a
 * release where there is none. */
struct buffer *window_free_buffer(struct window *window, bool in_turn);

/* Attaches, damages, commits and sends; asks for a frame callback where `frame` is set. */
void window_present(struct window *window, struct buffer *buffer, struct rectangle damage, bool frame);

#endif
