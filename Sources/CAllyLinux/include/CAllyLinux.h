// What Swift cannot import from Linux: macros, variadic calls, control messages, and names that need _GNU_SOURCE.
// Everything that takes a decision is in AllyHost; here each function is one system call, or what comes around one.
#ifndef C_ALLY_LINUX_H
#define C_ALLY_LINUX_H

#include <poll.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

// recvmsg(2) with SCM_RIGHTS. Up to `capacity` descriptors go to `descriptors`, close-on-exec, and their number to
// `count`; any beyond are closed. Returns as recvmsg does.
ssize_t ally_receive(
    int socket, void *buffer, size_t length, int flags, int *descriptors, size_t capacity, size_t *count);

// sendmsg(2) with SCM_RIGHTS; without SIGPIPE. At most 16 descriptors.
ssize_t ally_send(int socket, const void *buffer, size_t length, int flags, const int *descriptors, size_t count);

// A unix socket address. Returns 0, or -1 with ENAMETOOLONG.
int ally_bind_unix(int socket, const char *path);
int ally_connect_unix(int socket, const char *path);

// ppoll(2), for so many nanoseconds.
int ally_wait(struct pollfd *entries, size_t count, uint64_t nanoseconds);

// accept4(2), close-on-exec.
int ally_accept(int socket);

// memfd_create(2), close-on-exec.
int ally_memory_file(const char *name);

// Opens a TAP interface, without packet information, non-blocking and close-on-exec. The kernel's name for it goes to
// `actual`, which has 16 bytes.
int ally_open_tap(const char *name, char *actual);

// Whether an interface is up and has a carrier: 1, 0, or -1 with errno.
int ally_interface_is_running(const char *name);

// A descriptor that becomes readable when somebody wants this process to end (SIGINT, SIGTERM), which then do nothing
// else. For the main thread, before there are others. Returns -1 with errno on failure.
int ally_stop_descriptor(void);

// Starts a program with standard output and standard error going to `log`. The child is killed when this process ends,
// however it ends. Returns its process id, or -1 with errno. It stays a zombie until ally_reap.
pid_t ally_spawn(char *const arguments[], int log);

// Whether a child has ended: 1, 0, or -1.
int ally_has_ended(pid_t child);

// Kills a child of ally_spawn, if it is not gone yet, and waits for it.
void ally_reap(pid_t child);

#endif
