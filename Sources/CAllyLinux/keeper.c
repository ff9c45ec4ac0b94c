#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "CAllyLinux.h"

void *ally_map_shared(int file, size_t length, void *place) {
  int flags = MAP_SHARED | MAP_NORESERVE | (place == NULL ? 0 : MAP_FIXED);
  void *mapped = mmap(place, length, PROT_READ | PROT_WRITE, flags, file, 0);
  return mapped == MAP_FAILED ? NULL : mapped;
}

int ally_child_descriptor(pid_t child) { return (int)syscall(SYS_pidfd_open, child, 0); }

int ally_adopt_orphans(void) { return prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); }

void ally_reap_children(int waits) {
  pid_t child;
  do {
    errno = 0;
    child = waitpid(-1, NULL, waits ? 0 : WNOHANG);
  } while (child > 0 || (child < 0 && errno == EINTR));
}

void ally_exec(const char *path, char *const arguments[], const char *environment, const int *kept, size_t count) {
  if (putenv((char *)environment) != 0) return;
  if (close_range(3, ~0U, CLOSE_RANGE_CLOEXEC) < 0) return;
  for (size_t index = 0; index < count; index++)
    if (fcntl(kept[index], F_SETFD, 0) < 0) return;
  execv(path, arguments);
}

int ally_pipe(int ends[2]) { return pipe2(ends, O_CLOEXEC); }

int64_t ally_peer_user(int socket) {
  struct ucred user;
  socklen_t length = sizeof user;
  return getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &user, &length) < 0 ? -1 : (int64_t)user.uid;
}

void ally_allow_descriptors(void) {
  struct rlimit limit;
  if (getrlimit(RLIMIT_NOFILE, &limit) < 0) return;
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
}

void ally_allow_locked_memory(void) {
  struct rlimit none = {RLIM_INFINITY, RLIM_INFINITY};
  setrlimit(RLIMIT_MEMLOCK, &none);
}

int ally_signals_take(ally_signals *before) {
  sigset_t passed;
  sigemptyset(&passed);
  const int numbers[] = {SIGINT, SIGTERM, SIGHUP, SIGUSR1, SIGUSR2};
  for (size_t index = 0; index < sizeof numbers / sizeof *numbers; index++) sigaddset(&passed, numbers[index]);
  if (sigprocmask(SIG_BLOCK, &passed, &before->set) < 0) return -1;
  return signalfd(-1, &passed, SFD_CLOEXEC | SFD_NONBLOCK);
}

void ally_signals_return(const ally_signals *before) { sigprocmask(SIG_SETMASK, &before->set, NULL); }

int ally_signals_next(int descriptor) {
  struct signalfd_siginfo information;
  return read(descriptor, &information, sizeof information) == sizeof information ? (int)information.ssi_signo : 0;
}

int ally_death(pid_t child, int *status) {
  int words = 0;
  pid_t found = waitpid(child, &words, WNOHANG);
  if (found != child) return found < 0 && errno != EINTR ? -1 : 0;
  *status = WIFSIGNALED(words) ? 128 + WTERMSIG(words) : WEXITSTATUS(words);
  return WIFSIGNALED(words) ? 2 : 1;
}

int ally_bytes_waiting(int socket) {
  int count = 0;
  return ioctl(socket, FIONREAD, &count) < 0 ? 0 : count;
}

size_t ally_note_length(void) { return sizeof(struct mmsghdr); }

uint32_t ally_noted(const void *note) { return ((const volatile struct mmsghdr *)note)->msg_len; }

// The structure is filled anew for each call: what is behind its pointers need not outlive the process, only msg_len.
static struct mmsghdr *prepare(void *note, struct iovec *part) {
  struct mmsghdr *message = note;
  message->msg_hdr = (struct msghdr){.msg_iov = part, .msg_iovlen = 1};
  return message;
}

int ally_receive_noted(int socket, void *buffer, size_t length, void *note) {
  struct iovec part = {buffer, length};
  return recvmmsg(socket, prepare(note, &part), 1, MSG_DONTWAIT, NULL);
}

int ally_send_noted(int socket, const void *buffer, size_t length, void *note) {
  struct iovec part = {(void *)buffer, length};
  return sendmmsg(socket, prepare(note, &part), 1, MSG_DONTWAIT | MSG_NOSIGNAL);
}
