/* One Wayland connection by hand: requests out, events in, object ids.
 *
 * The benchmark's client speaks the wire itself, so that what is measured is the compositor or the
 * proxy and not libwayland, and so that one static binary runs on the host and in any guest.
 * Every failure ends the process with a line on stderr: a benchmark has nothing to recover.
 */
#ifndef CROSSDOMAIN_BENCH_WIRE_H
#define CROSSDOMAIN_BENCH_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	DISPLAY_ID = 1,
	IN_BYTES = 16384,
	OUT_BYTES = 4096,	/* libwayland writes to its socket in pieces of this size */
	MAX_FREE_IDS = 256,
	HEADER_BYTES = 8,
};

struct connection {
	int fd;
	int outgoing_fd;	/* travels with the next write; -1 where there is none */
	uint32_t next_id;
	uint32_t free_ids[MAX_FREE_IDS];
	unsigned free_count;
	size_t in_start, in_end, out_length;
	_Alignas(8) uint8_t in[IN_BYTES];
	_Alignas(8) uint8_t out[OUT_BYTES];
};

struct event {
	uint32_t object;
	uint32_t opcode;
	const uint32_t *words;	/* the arguments; valid until the next receive() */
	size_t count;		/* of words */
};

/* Prints "bench-client: ..." with errno's text where it is set, and ends the process. */
_Noreturn void die(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Connects to the compositor that WAYLAND_DISPLAY and XDG_RUNTIME_DIR name. */
void connection_open(struct connection *connection);

/* Returns an id for a new object: one that the compositor gave back, or the next. */
uint32_t new_id(struct connection *connection);

/* Takes back an id after wl_display.delete_id. */
void free_id(struct connection *connection, uint32_t id);

/* Queues a request; writes what is queued where it does not fit. */
void request(struct connection *connection, uint32_t object, uint32_t opcode,
	     const uint32_t *words, size_t count);

/* Queues a request whose only argument is a string. */
void request_text(struct connection *connection, uint32_t object, uint32_t opcode, const char *text);

/* Queues wl_registry.bind. */
void request_bind(struct connection *connection, uint32_t registry, uint32_t name,
		  const char *interface, uint32_t version, uint32_t id);

/* Queues a request that carries `fd`, and writes it; the descriptor stays the caller's. */
void request_fd(struct connection *connection, uint32_t object, uint32_t opcode,
		const uint32_t *words, size_t count, int fd);

/* Writes everything queued; blocks until the socket took it. */
void flush(struct connection *connection);

/* Blocks until the socket gave at least one byte. */
void receive(struct connection *connection);

/* Takes the next whole event out of what was received; false where there is none. */
bool next_event(struct connection *connection, struct event *event);

#endif
