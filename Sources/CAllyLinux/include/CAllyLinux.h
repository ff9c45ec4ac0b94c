// What Swift cannot import from Linux: macros, variadic calls, control messages, and names that need _GNU_SOURCE.
// Everything that takes a decision is in AllyHost; here each function is one system call, or what comes around one.
#ifndef C_ALLY_LINUX_H
#define C_ALLY_LINUX_H

#include <poll.h>
#include <signal.h>
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

// From here on the file of ally_memory_file keeps its length, and with `ends_writing` nobody gets to write it by any descriptor:
// mappings that can be written stay, and there are no others any more. Returns 0, or -1 with errno.
int ally_seal(int file, int ends_writing);

// eventfd(2), non-blocking, close-on-exec.
int ally_event(void);

// fork(2), for a process with one thread. With `dies_with_parent` the child is killed when the calling thread ends.
pid_t ally_fork(int dies_with_parent);

// Waits for a child's end. Returns its exit status, or 128 and the signal that ended it.
int ally_await_child(pid_t child);

// Opens a TAP interface, without packet information, non-blocking and close-on-exec. The kernel's name for it goes to
// `actual`, which has 16 bytes.
int ally_open_tap(const char *name, char *actual);

// A packet socket (packet(7)) on an interface, non-blocking and close-on-exec, that hears nothing before
// ally_packet_bind. Its index goes to `index`, its kind (ARPHRD_…) to `kind`. Returns the socket, or -1 with errno.
int ally_packet_socket(const char *name, int *index, int *kind);

// Has a packet socket hear an interface. Returns 0, or -1 with errno.
int ally_packet_bind(int socket, int index);

// Has an interface give what is addressed to others, as long as the socket exists. Returns 0, or -1 with errno.
int ally_packet_promiscuous(int socket, int index);

// Gives a packet socket a ring for received frames (TPACKET_V3) of `count` blocks of `size` bytes, a multiple of the page's,
// with four bytes of room before each frame, each block handed over after `milliseconds`, and frames cut to `longest` bytes.
// Returns 0, or -1 with errno.
int ally_packet_ring(int socket, unsigned size, unsigned count, unsigned milliseconds, unsigned longest);

// What a ring counted since the last call: frames, those of them that found no room. Returns 0, or -1 with errno.
int ally_packet_counts(int socket, uint32_t *frames, uint32_t *dropped);

// The error that a socket holds, which it then no longer holds; 0 for none.
int ally_socket_error(int socket);

// Has a packet socket give and take frames behind a struct virtio_net_hdr, and not give those that this machine sends.
// Returns 0, or -1 with errno.
int ally_packet_offloads(int socket);

// recvmsg(2) of such a socket: the header goes to `header`, which has 10 bytes, the frame to `buffer`, and the VLAN tag that
// was taken out of it to `tag` as it was on the wire, in host byte order, 0 when there was none. Returns the frame's bytes, or
// -1 with errno.
ssize_t ally_packet_receive(int socket, void *header, void *buffer, size_t length, uint32_t *tag);

// writev(2) of a frame behind a header of zeros. Returns as it does.
ssize_t ally_packet_send(int socket, const void *buffer, size_t length);

// Becomes a user, with its group and no other, for good. Returns 0, or -1 with errno (ENOENT when there is no such user).
int ally_become(const char *name);

// Gives all capabilities up, but for the one to lock memory where that is needed: when memory is locked and the limit for
// those without it could not be lifted. Returns 0, or -1 with errno.
int ally_keep_capabilities(int locks_memory);

// From here on the process ends at any system call but those that a server of guests needs once all is set up (seccomp(2)).
// Returns 0, or -1 with errno. A crash is a plain signal from here on.
int ally_sandbox_enter(void);

// The same with the calls that a keeper needs once it keeps.
int ally_sandbox_enter_keeper(void);

// For tests: makes one call, by its number in the source, in a child that has entered the sandbox, or with `keeps` the keeper's.
// Returns the child's exit status, or 128 and the signal that ended it.
int ally_sandbox_probe(int what, int keeps);

// Has the calling thread run on one processor alone. Returns 0, or -1 with errno.
int ally_pin(int processor);

// Where the calling thread may run, and back to it with the usual scheduling. NULL stands for "as it is".
struct ally_place;
struct ally_place *ally_place_note(void);
void ally_place_return(struct ally_place *place);

// Has the calling thread run before all that is not real time (SCHED_FIFO, priority 1 to 99). Returns 0, or -1 with errno.
int ally_realtime(int priority);

// Has the kernel end the calling thread's waits when they are over, and not up to 50 us later, with others'; threads that it starts
// inherit it. Without, as it was when the thread began.
void ally_wake_in_time(int exactly);

// Keeps every page of this process that was or will be touched in memory. Returns 0, or -1 with errno.
int ally_lock_memory(void);

// The NUMA node of a processor; -1 when there is none to be found.
int ally_node(int processor);

// Has the calling thread's new pages come from a node, as long as it has any. Returns 0, or -1 with errno.
int ally_prefer_node(int node);

// A thread that calls `body` with `context`. It begins with its starter's place, scheduling and rights.
struct ally_thread {
  void (*body)(void *context);
  void *context;
  unsigned long number;
};
// Returns 0 or an error number. The structure stays where it is until ally_thread_await.
int ally_thread_start(struct ally_thread *thread);
void ally_thread_await(struct ally_thread *thread);

// Memory of another process that this one has mapped can be cut short under it (ftruncate), and the next access is a SIGBUS.
// A guarded mapping becomes zeros of our own instead, and is counted as lost; what is outside of every guarded mapping ends the
// process as ever. ally_guard_begin catches the signal, once for the process.
int ally_guard_begin(void);
// Guards a mapping. Returns its number, or -1 when there are too many (4,096).
int ally_guard_add(void *start, size_t length);
// Ends that. The mapping may be unmapped afterwards.
void ally_guard_remove(int number);
// Whether a guarded mapping was lost: 1 or 0.
int ally_guard_is_lost(int number);

// Whether an interface is up and has a carrier: 1, 0, or -1 with errno.
int ally_interface_is_running(const char *name);

// Maps a file of memory, all of it, to read and write, shared; where `place` says unless it is NULL. Returns NULL with errno.
void *ally_map_shared(int file, size_t length, void *place);

// Lifts the limit of open descriptors as far as it goes.
void ally_allow_descriptors(void);

// Lets processes without rights lock memory, where this process may say so.
void ally_allow_locked_memory(void);

// Signals that a process which keeps another passes on: SIGINT, SIGTERM, SIGHUP, SIGUSR1, SIGUSR2. `take` has them come as a
// descriptor, which it returns, or -1 with errno; `return` takes that back, in a child. `next` gives one that came, or 0.
typedef struct {
  sigset_t set;
} ally_signals;
int ally_signals_take(ally_signals *before);
void ally_signals_return(const ally_signals *before);
int ally_signals_next(int descriptor);

// A descriptor that becomes readable when a child ends, close-on-exec. Returns -1 with errno.
int ally_child_descriptor(pid_t child);

// Whose parent ends becomes this process's child, if it descends from it. Returns 0, or -1 with errno.
int ally_adopt_orphans(void);

// Reaps the children that have ended; all of them, if it waits for the others to end.
void ally_reap_children(int waits);

// In a child: runs a program in the place of this one, with `kept` descriptors and no other but the first three. `environment` is
// NAME=VALUE, added to that of this process. Returns on failure alone, with errno.
void ally_exec(const char *path, char *const arguments[], const char *environment, const int *kept, size_t count);

// A pipe, close-on-exec. Returns 0, or -1 with errno.
int ally_pipe(int ends[2]);

// The user at the other end of a unix socket when it was connected; -1 with errno.
int64_t ally_peer_user(int socket);

// Whether a child has ended, which it then is reaped: 0 not yet, 1 by itself, with its exit status in `status`, 2 by a signal, with
// 128 and its number; -1 when there is no such child.
int ally_death(pid_t child, int *status);

// How many bytes a stream socket has for its reader.
int ally_bytes_waiting(int socket);

// A receive, or a send, of which the kernel itself writes down in `note` that it took place: before it lets the process run on, or
// die. `note` has ally_note_length() bytes, aligned to 8, and its length has been set to 0; ally_noted is what was received or sent,
// in bytes. Neither waits. Each returns 1, or -1 with errno.
size_t ally_note_length(void);
uint32_t ally_noted(const void *note);
int ally_receive_noted(int socket, void *buffer, size_t length, void *note);
int ally_send_noted(int socket, const void *buffer, size_t length, void *note);

// A descriptor that becomes readable when somebody wants this process to end (SIGINT, SIGTERM), which then do nothing
// else. For the main thread, before there are others. Returns -1 with errno on failure.
int ally_stop_descriptor(void);

// Starts a program, found as a shell would, with no capability and no way to get any, as a user or as the process's own with NULL.
// Standard output and standard error go to `log`; of the other descriptors it has those that are `kept`, under their numbers. It is
// killed when this process ends, however that ends. Returns its pidfd, which is for ally_end_spawned, or -1 with errno (ENOENT when
// there is no such user).
int ally_spawn(char *const arguments[], const char *user, const int *kept, size_t count, int log);

// Kills what ally_spawn started, if it is not gone yet, and waits for it. Within the sandbox too.
void ally_end_spawned(int handle);

// A unix socket pair of a kind (SOCK_STREAM, SOCK_DGRAM), close-on-exec. Returns 0, or -1 with errno.
int ally_socket_pair(int kind, int ends[2]);

// The most seconds that a receive waits. Returns 0, or -1 with errno.
int ally_receive_patience(int socket, unsigned seconds);

#endif
