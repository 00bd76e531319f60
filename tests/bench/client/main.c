/* The benchmark's Wayland client: one command per run, its result as one line of JSON.
 *
 *   bench-client [--gate] [--watch-parent] sync N
 *   bench-client ... burst N
 *   bench-client ... frames N WIDTHxHEIGHT full|WIDTHxHEIGHT|moving:WIDTHxHEIGHT paced|unpaced BUFFERS
 *   bench-client ... many N FRAMES RATE
 *   bench-client ... hold N
 *   bench-client ... keys N
 *
 * --gate: say "begin" before and "end" after what is measured, and wait for a line on stdin each
 * time, so that others can be sampled just then.  --watch-parent: report the parent's CPU too (in a
 * guest, where only this process is near the proxy).
 */
#define _GNU_SOURCE
#include "phase.h"
#include "window.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { WARM_SYNCS = 200, WARM_FRAMES = 12, WL_COMPOSITOR_CREATE_REGION = 1, WL_REGION_ADD = 1 };

struct plan {
	int width, height;	/* of the window, px */
	int damage_width, damage_height;
	bool moving;		/* damage is at another place in each frame, and buffers are used in turn */
	bool paced;		/* by frame callbacks; otherwise by free buffers alone */
	int buffers;
};

struct drawn {
	uint32_t frames;
	uint64_t bytes;
};

static unsigned parse_count(const char *text, unsigned highest)
{
	char *end;
	unsigned long number = strtoul(text, &end, 10);

	errno = 0;
	if (end == text || *end || number < 1 || number > highest)
		die("%s is not a number between 1 and %u", text, highest);
	return (unsigned)number;
}

static void parse_size(const char *text, int *width, int *height)
{
	errno = 0;
	if (sscanf(text, "%dx%d", width, height) != 2 || *width < 1 || *height < 1 ||
	    *width > 16384 || *height > 16384)
		die("%s is not WIDTHxHEIGHT", text);
}

/* Round trips; prints each one's ns. */
static void run_sync(struct phase *phase, unsigned count)
{
	struct window window;
	uint32_t *took_ns = calloc(count, sizeof *took_ns);

	if (!took_ns)
		die("allocate %u samples", count);
	window_connect(&window);
	for (unsigned i = 0; i < WARM_SYNCS; i++)
		window_round_trip(&window);
	phase_begin(phase);
	for (unsigned i = 0; i < count; i++) {
		uint64_t start = now_ns();

		window_round_trip(&window);
		took_ns[i] = (uint32_t)(now_ns() - start);
	}
	phase_end(phase);
	phase_print(phase);
	printf(", \"took_ns\": [%" PRIu32, took_ns[0]);
	for (unsigned i = 1; i < count; i++)
		printf(", %" PRIu32, took_ns[i]);
	puts("]}");
	free(took_ns);
}

/* 24-byte requests that need no answer, then a sync that says that all were read. */
static void send_burst(struct window *window, uint32_t region, unsigned count)
{
	const uint32_t rectangle[] = { 0, 0, 64, 64 };

	for (unsigned i = 0; i < count; i++)
		request(&window->wire, region, WL_REGION_ADD, rectangle, 4);
	window_round_trip(window);
}

static void run_burst(struct phase *phase, unsigned count)
{
	struct window window;
	uint32_t region;

	window_connect(&window);
	region = new_id(&window.wire);
	request(&window.wire, window.compositor, WL_COMPOSITOR_CREATE_REGION, &region, 1);
	send_burst(&window, region, count / 10 + 1);
	phase_begin(phase);
	send_burst(&window, region, count);
	phase_end(phase);
	phase_print(phase);
	printf(", \"requests\": %u}\n", count);
}

/* Real bytes, different in every frame and at every place. */
static uint64_t draw(const struct window *window, uint32_t *pixels, struct rectangle area, uint32_t frame)
{
	for (int y = area.y; y < area.y + area.height; y++) {
		uint32_t *row = pixels + (size_t)y * (size_t)window->width + area.x;
		uint32_t colour = frame * 0x010203u + (uint32_t)y * 0x10101u;

		for (int x = 0; x < area.width; x++)
			row[x] = colour + (uint32_t)x;
	}
	return (uint64_t)area.width * (uint64_t)area.height * 4;
}

/* What frame number `frame` changes; the first ones of each buffer change all. */
static struct rectangle area_of(const struct plan *plan, uint32_t frame)
{
	int free_x = plan->width - plan->damage_width, free_y = plan->height - plan->damage_height;
	struct rectangle area = { free_x / 2, free_y / 2, plan->damage_width, plan->damage_height };

	if (frame < (uint32_t)plan->buffers)
		return (struct rectangle){ 0, 0, plan->width, plan->height };
	if (plan->moving) {
		area.x = (int)(frame * 97u % (uint32_t)(free_x + 1));
		area.y = (int)(frame * 61u % (uint32_t)(free_y + 1));
	}
	return area;
}

/* Draws what the buffer lacks since its last frame, and shows it; the damage is this frame's alone. */
static void show_frame(struct window *window, const struct plan *plan, struct drawn *drawn)
{
	struct buffer *buffer = window_free_buffer(window, plan->moving);
	uint32_t frame = drawn->frames++;

	for (uint32_t missed = plan->moving ? buffer->next_frame : frame; missed < frame; missed++)
		draw(window, buffer->pixels, area_of(plan, missed), missed);
	drawn->bytes += draw(window, buffer->pixels, area_of(plan, frame), frame);
	buffer->next_frame = frame + 1;
	window_present(window, buffer, area_of(plan, frame), plan->paced);
	while (window->callback)
		window_dispatch(window);
}

static void run_frames(struct phase *phase, unsigned count, const struct plan *plan)
{
	struct window window;
	struct drawn drawn = { 0 }, warm;

	window_connect(&window);
	window_create(&window, plan->width, plan->height, plan->buffers);
	for (unsigned i = 0; i < WARM_FRAMES; i++)
		show_frame(&window, plan, &drawn);
	window_round_trip(&window);
	warm = drawn;
	phase_begin(phase);
	for (unsigned i = 0; i < count; i++)
		show_frame(&window, plan, &drawn);
	window_round_trip(&window);
	phase_end(phase);
	phase_print(phase);
	printf(", \"frames\": %u, \"bytes_damaged\": %" PRIu64 ", \"bytes_damaged_warm\": %" PRIu64 "}\n",
	       drawn.frames - warm.frames, drawn.bytes - warm.bytes, warm.bytes);
}

static struct window *open_windows(unsigned count, const struct plan *plan, struct drawn *drawn)
{
	struct window *windows = calloc(count, sizeof *windows);

	if (!windows)
		die("allocate %u connections", count);
	for (unsigned i = 0; i < count; i++) {
		window_connect(&windows[i]);
		window_create(&windows[i], plan->width, plan->height, plan->buffers);
		show_frame(&windows[i], plan, drawn);
		window_round_trip(&windows[i]);
	}
	return windows;
}

static void wait_until(uint64_t due_ns, struct pollfd *polled, struct window *windows, unsigned count)
{
	for (;;) {
		uint64_t now = now_ns();
		uint64_t left = due_ns > now ? due_ns - now : 0;
		struct timespec timeout = { (time_t)(left / 1000000000u), (long)(left % 1000000000u) };

		if (ppoll(polled, count, &timeout, NULL) < 0)
			die("poll");
		for (unsigned i = 0; i < count; i++)
			if (polled[i].revents)
				window_dispatch(&windows[i]);
		if (!left)
			return;
	}
}

/* Many connections with a small window each, which all change `rate` times a second, one after the other. */
static void run_many(struct phase *phase, unsigned count, unsigned frames, unsigned rate)
{
	const struct plan plan = { .width = 64, .height = 64, .damage_width = 64, .damage_height = 64, .buffers = 2 };
	struct drawn drawn = { 0 };
	struct window *windows = open_windows(count, &plan, &drawn);
	struct pollfd *polled = calloc(count, sizeof *polled);
	uint64_t step_ns = 1000000000u / rate / count, due_ns;

	if (!polled)
		die("allocate %u connections", count);
	for (unsigned i = 0; i < count; i++)
		polled[i] = (struct pollfd){ .fd = windows[i].wire.fd, .events = POLLIN };
	phase_begin(phase);
	due_ns = now_ns();
	for (unsigned i = 0; i < count * frames; i++, due_ns += step_ns) {
		wait_until(due_ns, polled, windows, count);
		show_frame(&windows[i % count], &plan, &drawn);
	}
	for (unsigned i = 0; i < count; i++)
		window_round_trip(&windows[i]);
	phase_end(phase);
	phase_print(phase);
	printf(", \"frames\": %u, \"clients\": %u}\n", count * frames, count);
	free(windows);
	free(polled);
}

/* Many connections with a small window each; they answer pings and do nothing else until stdin says
 * something or ends. */
static void run_hold(const struct phase *phase, unsigned count)
{
	const struct plan plan = { .width = 64, .height = 64, .damage_width = 64, .damage_height = 64, .buffers = 1 };
	struct drawn drawn = { 0 };
	struct window *windows = open_windows(count, &plan, &drawn);
	struct pollfd *polled = calloc(count + 1, sizeof *polled);

	if (!polled)
		die("allocate %u connections", count);
	for (unsigned i = 0; i < count; i++)
		polled[i] = (struct pollfd){ .fd = windows[i].wire.fd, .events = POLLIN };
	polled[count] = (struct pollfd){ .fd = STDIN_FILENO, .events = POLLIN };
	puts("begin");
	fflush(stdout);
	do {
		if (poll(polled, count + 1, -1) < 0)
			die("poll");
		for (unsigned i = 0; i < count; i++)
			if (polled[i].revents)
				window_dispatch(&windows[i]);
		for (unsigned i = 0; i < count; i++)
			flush(&windows[i].wire);
	} while (!polled[count].revents);
	phase_print(phase);
	printf(", \"clients\": %u}\n", count);
	free(windows);
	free(polled);
}

/* Answers each key that goes down with a commit; prints when it heard of each, ns of CLOCK_MONOTONIC. */
static void run_keys(struct phase *phase, unsigned count)
{
	const struct plan plan = { .width = 64, .height = 64, .damage_width = 64, .damage_height = 64, .buffers = 1 };
	struct drawn drawn = { 0 };
	struct window *window = open_windows(1, &plan, &drawn);
	uint64_t *heard_ns = calloc(count, sizeof *heard_ns);

	if (!heard_ns)
		die("allocate %u samples", count);
	window_take_keyboard(window);
	phase_begin(phase);
	for (unsigned i = 0; i < count; i++) {
		while (window->presses == i)
			window_dispatch(window);
		heard_ns[i] = now_ns();
		window_commit(window);
	}
	phase_end(phase);
	phase_print(phase);
	printf(", \"heard_ns\": [%" PRIu64, heard_ns[0]);
	for (unsigned i = 1; i < count; i++)
		printf(", %" PRIu64, heard_ns[i]);
	puts("]}");
	free(heard_ns);
	free(window);
}

static struct plan parse_plan(char **arguments)
{
	struct plan plan = { 0 };

	const char *damage = arguments[1];

	parse_size(arguments[0], &plan.width, &plan.height);
	plan.moving = !strncmp(damage, "moving:", strlen("moving:"));
	if (plan.moving)
		damage += strlen("moving:");
	if (strcmp(damage, "full")) {
		parse_size(damage, &plan.damage_width, &plan.damage_height);
		if (plan.damage_width > plan.width || plan.damage_height > plan.height)
			die("the damage %s is larger than the window", damage);
	} else {
		plan.damage_width = plan.width;
		plan.damage_height = plan.height;
	}
	plan.paced = !strcmp(arguments[2], "paced");
	if (!plan.paced && strcmp(arguments[2], "unpaced"))
		die("%s is neither paced nor unpaced", arguments[2]);
	plan.buffers = (int)parse_count(arguments[3], MAX_BUFFERS);
	return plan;
}

static char **parse_options(char **arguments, struct phase *phase)
{
	for (; *arguments && !strncmp(*arguments, "--", 2); arguments++) {
		if (!strcmp(*arguments, "--gate"))
			phase->gated = true;
		else if (!strcmp(*arguments, "--watch-parent"))
			phase->watched_pid = getppid();
		else
			die("unknown option %s", *arguments);
	}
	return arguments;
}

int main(int argc, char **argv)
{
	struct phase phase = { 0 };
	char **arguments = parse_options(argv + 1, &phase);
	int left = argc - (int)(arguments - argv);
	unsigned count;

	errno = 0;
	if (left < 2)
		die("usage: bench-client [--gate] [--watch-parent] sync|burst|frames|many|hold|keys N ...");
	count = parse_count(arguments[1], 10000000);
	if (!strcmp(arguments[0], "sync") && left == 2) {
		run_sync(&phase, count);
	} else if (!strcmp(arguments[0], "burst") && left == 2) {
		run_burst(&phase, count);
	} else if (!strcmp(arguments[0], "frames") && left == 6) {
		struct plan plan = parse_plan(arguments + 2);

		run_frames(&phase, count, &plan);
	} else if (!strcmp(arguments[0], "many") && left == 4) {
		run_many(&phase, count, parse_count(arguments[2], 100000), parse_count(arguments[3], 1000));
	} else if (!strcmp(arguments[0], "hold") && left == 2) {
		run_hold(&phase, count);
	} else if (!strcmp(arguments[0], "keys") && left == 2) {
		run_keys(&phase, count);
	} else {
		die("%s does not take these arguments", arguments[0]);
	}
	return 0;
}
