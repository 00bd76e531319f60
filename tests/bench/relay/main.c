/* The least that two processes between a client and its compositor can cost: they wait, read and write, and look at
 * nothing.  What a proxy of two processes takes longer than this is its own.
 *
 *   bench-relay COMPOSITOR SOCKET COMMAND [ARGUMENT]...
 *
 * runs the command with WAYLAND_DISPLAY=SOCKET, a new socket whose first connection crosses both processes, with
 * packets between them as on the local channel, to that of the compositor.  The exit status is the command's.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
	READ_BYTES = 65536,
	MOST_FDS = 28, /* of one message of libwayland's */
};

static void die(const char *what)
{
	fprintf(stderr, "bench-relay: %s: %s\n", what, strerror(errno));
	exit(1);
}

static int open_socket(const char *path, struct sockaddr_un *address)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	address->sun_family = AF_UNIX;
	if (strlen(path) >= sizeof address->sun_path)
		errno = ENAMETOOLONG;
	if (fd < 0 || strlen(path) >= sizeof address->sun_path)
		die(path);
	strcpy(address->sun_path, path);
	return fd;
}

static int connect_to(const char *path)
{
	struct sockaddr_un address = { 0 };
	int fd = open_socket(path, &address);

	if (connect(fd, (const struct sockaddr *)&address, sizeof address) < 0)
		die(path);
	return fd;
}

static int listen_at(const char *path)
{
	struct sockaddr_un address = { 0 };
	int fd = open_socket(path, &address);

	if (bind(fd, (const struct sockaddr *)&address, sizeof address) < 0 || listen(fd, 1) < 0)
		die(path);
	return fd;
}

/* Closes the fds that came with a message. */
static void close_fds(struct msghdr *message)
{
	struct cmsghdr *part;

	for (part = CMSG_FIRSTHDR(message); part; part = CMSG_NXTHDR(message, part)) {
		size_t count = (part->cmsg_len - CMSG_LEN(0)) / sizeof(int);

		for (size_t i = 0; i < count; i++) {
			int fd;

			memcpy(&fd, CMSG_DATA(part) + i * sizeof fd, sizeof fd);
			close(fd);
		}
	}
}

/* Gives `to` what `from` has.  Returns 0 at the end of either. */
static int pass(int from, int to)
{
	static char bytes[READ_BYTES];
	_Alignas(struct cmsghdr) char fds[CMSG_SPACE(MOST_FDS * sizeof(int))];
	struct iovec data = { bytes, sizeof bytes };
	struct msghdr message = { .msg_iov = &data, .msg_iovlen = 1, .msg_control = fds, .msg_controllen = sizeof fds };
	ssize_t size = recvmsg(from, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	ssize_t sent;

	if (size < 0 && (errno == EAGAIN || errno == EINTR))
		return 1;
	if (size <= 0)
		return 0;
	data.iov_len = (size_t)size;
	sent = sendmsg(to, &message, MSG_NOSIGNAL);
	if (message.msg_controllen)
		close_fds(&message);
	for (ssize_t done = sent; sent >= 0 && done < size; done += sent)
		sent = send(to, bytes + done, (size_t)(size - done), MSG_NOSIGNAL);
	return sent >= 0;
}

/* Until one of them ends. */
static void relay(int one, int other)
{
	int epoll = epoll_create1(EPOLL_CLOEXEC);
	struct epoll_event first = { .events = EPOLLIN, .data.fd = one };
	struct epoll_event second = { .events = EPOLLIN, .data.fd = other };
	struct epoll_event ready[2];

	if (epoll < 0 || epoll_ctl(epoll, EPOLL_CTL_ADD, one, &first) < 0 ||
	    epoll_ctl(epoll, EPOLL_CTL_ADD, other, &second) < 0)
		die("epoll");
	for (;;) {
		int count = epoll_wait(epoll, ready, 2, -1);

		if (count < 0 && errno != EINTR)
			die("epoll_wait");
		for (int i = 0; i < count; i++) {
			int from = ready[i].data.fd;

			if (!pass(from, from == one ? other : one))
				return;
		}
	}
}

static pid_t start_command(const char *path, char **command)
{
	pid_t pid = fork();

	if (pid < 0)
		die("fork");
	if (pid)
		return pid;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (setenv("WAYLAND_DISPLAY", path, 1) == 0)
		execvp(command[0], command);
	die(command[0]);
	return -1;
}

/* Starts the half at the compositor; returns the other half's end. */
static int start_far_half(const char *compositor)
{
	int ends[2];
	pid_t pid;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0 || (pid = fork()) < 0)
		die("a second process");
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		close(ends[0]);
		relay(ends[1], connect_to(compositor));
		_exit(0);
	}
	close(ends[1]);
	return ends[0];
}

int main(int count, char **arguments)
{
	int listener, far_half, client, status;
	pid_t pid;

	if (count < 4) {
		fputs("usage: bench-relay COMPOSITOR SOCKET COMMAND [ARGUMENT]...\n", stderr);
		return 1;
	}
	listener = listen_at(arguments[2]);
	far_half = start_far_half(arguments[1]);
	pid = start_command(arguments[2], arguments + 3);
	client = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	if (client < 0)
		die("accept");
	close(listener);
	unlink(arguments[2]);
	relay(client, far_half);
	close(client);
	if (waitpid(pid, &status, 0) < 0)
		die("wait");
	return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}
