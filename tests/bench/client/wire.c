/* See wire.h. */
#define _GNU_SOURCE
#include "wire.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

void die(const char *format, ...)
{
	int error = errno;
	va_list arguments;

	fputs("bench-client: ", stderr);
	va_start(arguments, format);
	vfprintf(stderr, format, arguments);
	va_end(arguments);
	if (error)
		fprintf(stderr, ": %s", strerror(error));
	fputc('\n', stderr);
	exit(1);
}

static void socket_address(struct sockaddr_un *address)
{
	const char *display = getenv("WAYLAND_DISPLAY");
	const char *folder = getenv("XDG_RUNTIME_DIR");
	int length;

	errno = 0;
	if (!display)
		display = "wayland-0";
	address->sun_family = AF_UNIX;
	if (display[0] == '/')
		length = snprintf(address->sun_path, sizeof address->sun_path, "%s", display);
	else if (folder)
		length = snprintf(address->sun_path, sizeof address->sun_path, "%s/%s", folder, display);
	else
		die("XDG_RUNTIME_DIR is not set");
	if (length < 0 || (size_t)length >= sizeof address->sun_path)
		die("the socket's path is too long");
}

void connection_open(struct connection *connection)
{
	struct sockaddr_un address = { 0 };

	socket_address(&address);
	connection->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (connection->fd < 0 ||
	    connect(connection->fd, (const struct sockaddr *)&address, sizeof address) < 0)
		die("connect to %s", address.sun_path);
	connection->outgoing_fd = -1;
	connection->next_id = DISPLAY_ID + 1;
	connection->free_count = 0;
	connection->in_start = connection->in_end = connection->out_length = 0;
}

uint32_t new_id(struct connection *connection)
{
	if (connection->free_count)
		return connection->free_ids[--connection->free_count];
	return connection->next_id++;
}

void free_id(struct connection *connection, uint32_t id)
{
	if (connection->free_count == MAX_FREE_IDS) {
		errno = 0;
		die("more than %d object ids are free", MAX_FREE_IDS);
	}
	connection->free_ids[connection->free_count++] = id;
}

static uint32_t *reserve(struct connection *connection, uint32_t object, uint32_t opcode, size_t bytes)
{
	uint32_t *message;

	bytes += HEADER_BYTES;
	if (connection->out_length + bytes > OUT_BYTES)
		flush(connection);
	message = (uint32_t *)(void *)(connection->out + connection->out_length);
	message[0] = object;
	message[1] = (uint32_t)bytes << 16 | opcode;
	connection->out_length += bytes;
	return message + 2;
}

void request(struct connection *connection, uint32_t object, uint32_t opcode,
	     const uint32_t *words, size_t count)
{
	uint32_t *arguments = reserve(connection, object, opcode, count * 4);

	for (size_t i = 0; i < count; i++)
		arguments[i] = words[i];
}

/* Writes a string argument at `arguments`; returns the word after it. */
static uint32_t *put_string(uint32_t *arguments, const char *text)
{
	size_t length = strlen(text) + 1;
	size_t words = (length + 3) / 4;

	arguments[0] = (uint32_t)length;
	arguments[words] = 0;	/* the padding */
	memcpy(arguments + 1, text, length);
	return arguments + 1 + words;
}

static size_t string_bytes(const char *text)
{
	return 4 + (strlen(text) + 1 + 3) / 4 * 4;
}

void request_text(struct connection *connection, uint32_t object, uint32_t opcode, const char *text)
{
	put_string(reserve(connection, object, opcode, string_bytes(text)), text);
}

void request_bind(struct connection *connection, uint32_t registry, uint32_t name,
		  const char *interface, uint32_t version, uint32_t id)
{
	uint32_t *arguments = reserve(connection, registry, 0, 4 + string_bytes(interface) + 8);

	arguments[0] = name;
	arguments = put_string(arguments + 1, interface);
	arguments[0] = version;
	arguments[1] = id;
}

void request_fd(struct connection *connection, uint32_t object, uint32_t opcode,
		const uint32_t *words, size_t count, int fd)
{
	flush(connection);
	request(connection, object, opcode, words, count);
	connection->outgoing_fd = fd;
	flush(connection);
}

static size_t write_some(struct connection *connection, const uint8_t *data, size_t length)
{
	struct iovec piece = { .iov_base = (void *)(uintptr_t)data, .iov_len = length };
	union {
		struct cmsghdr header;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control = { 0 };
	struct msghdr message = { .msg_iov = &piece, .msg_iovlen = 1 };
	ssize_t written;

	if (connection->outgoing_fd >= 0) {
		message.msg_control = &control;
		message.msg_controllen = sizeof control.bytes;
		control.header.cmsg_level = SOL_SOCKET;
		control.header.cmsg_type = SCM_RIGHTS;
		control.header.cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(&control.header), &connection->outgoing_fd, sizeof(int));
	}
	do
		written = sendmsg(connection->fd, &message, MSG_NOSIGNAL);
	while (written < 0 && errno == EINTR);
	if (written < 0)
		die("write to the compositor");
	connection->outgoing_fd = -1;
	return (size_t)written;
}

void flush(struct connection *connection)
{
	size_t done = 0;

	while (done < connection->out_length)
		done += write_some(connection, connection->out + done, connection->out_length - done);
	connection->out_length = 0;
}

void receive(struct connection *connection)
{
	size_t left = connection->in_end - connection->in_start;
	ssize_t count;

	memmove(connection->in, connection->in + connection->in_start, left);
	connection->in_start = 0;
	connection->in_end = left;
	do
		count = read(connection->fd, connection->in + left, IN_BYTES - left);
	while (count < 0 && errno == EINTR);
	if (count < 0)
		die("read from the compositor");
	if (count == 0) {
		errno = 0;
		die("the compositor hung up");
	}
	connection->in_end += (size_t)count;
}

bool next_event(struct connection *connection, struct event *event)
{
	const uint32_t *message = (const void *)(connection->in + connection->in_start);
	size_t available = connection->in_end - connection->in_start;
	size_t bytes;

	if (available < HEADER_BYTES)
		return false;
	bytes = message[1] >> 16;
	if (bytes < HEADER_BYTES || bytes % 4 || bytes > IN_BYTES) {
		errno = 0;
		die("the compositor sent a message of %zu bytes", bytes);
	}
	if (available < bytes)
		return false;
	event->object = message[0];
	event->opcode = message[1] & 0xffff;
	event->words = message + 2;
	event->count = (bytes - HEADER_BYTES) / 4;
	connection->in_start += bytes;
	return true;
}
