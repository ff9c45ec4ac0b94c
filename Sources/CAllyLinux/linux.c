#define _GNU_SOURCE
#include "CAllyLinux.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <pthread.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

enum { most_descriptors = 16 };

ssize_t ally_receive(
    int socket, void *buffer, size_t length, int flags, int *descriptors, size_t capacity, size_t *count) {
  // Room for as many as the kernel lets through in one message, so that none is dropped unseen.
  union {
    char bytes[CMSG_SPACE(253 * sizeof(int))];
    struct cmsghdr header;
  } control;
  struct iovec part = {buffer, length};
  struct msghdr message = {
      .msg_iov = &part, .msg_iovlen = 1, .msg_control = control.bytes, .msg_controllen = sizeof control.bytes};
  *count = 0;
  ssize_t received = recvmsg(socket, &message, flags | MSG_CMSG_CLOEXEC);
  if (received < 0) return received;
  for (struct cmsghdr *item = CMSG_FIRSTHDR(&message); item; item = CMSG_NXTHDR(&message, item)) {
    if (item->cmsg_level != SOL_SOCKET || item->cmsg_type != SCM_RIGHTS) continue;
    size_t found = (item->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (size_t index = 0; index < found; index++) {
      int descriptor;
      memcpy(&descriptor, CMSG_DATA(item) + index * sizeof(int), sizeof(int));
      if (*count < capacity) {
        descriptors[(*count)++] = descriptor;
      } else {
        close(descriptor);
      }
    }
  }
  return received;
}

ssize_t ally_send(int socket, const void *buffer, size_t length, int flags, const int *descriptors, size_t count) {
  union {
    char bytes[CMSG_SPACE(most_descriptors * sizeof(int))];
    struct cmsghdr header;
  } control;
  struct iovec part = {(void *)buffer, length};
  struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
  if (count > most_descriptors) {
    errno = EINVAL;
    return -1;
  }
  if (count > 0) {
    memset(&control, 0, sizeof control);
    message.msg_control = control.bytes;
    message.msg_controllen = CMSG_SPACE(count * sizeof(int));
    struct cmsghdr *item = CMSG_FIRSTHDR(&message);
    item->cmsg_level = SOL_SOCKET;
    item->cmsg_type = SCM_RIGHTS;
    item->cmsg_len = CMSG_LEN(count * sizeof(int));
    memcpy(CMSG_DATA(item), descriptors, count * sizeof(int));
  }
  return sendmsg(socket, &message, flags | MSG_NOSIGNAL);
}

static int set_path(struct sockaddr_un *address, const char *path) {
  memset(address, 0, sizeof *address);
  address->sun_family = AF_UNIX;
  if (strlen(path) >= sizeof address->sun_path) {
    errno = ENAMETOOLONG;
    return -1;
  }
  strcpy(address->sun_path, path);
  return 0;
}

int ally_bind_unix(int socket, const char *path) {
  struct sockaddr_un address;
  if (set_path(&address, path) < 0) return -1;
  return bind(socket, (struct sockaddr *)&address, sizeof address);
}

int ally_connect_unix(int socket, const char *path) {
  struct sockaddr_un address;
  if (set_path(&address, path) < 0) return -1;
  return connect(socket, (struct sockaddr *)&address, sizeof address);
}

int ally_wait(struct pollfd *entries, size_t count, uint64_t nanoseconds) {
  struct timespec time = {(time_t)(nanoseconds / 1000000000), (long)(nanoseconds % 1000000000)};
  return ppoll(entries, count, &time, NULL);
}

int ally_accept(int socket) { return accept4(socket, NULL, NULL, SOCK_CLOEXEC); }

int ally_memory_file(const char *name) { return memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING); }

int ally_seal(int file, int ends_writing) {
  int seals = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL | (ends_writing ? F_SEAL_FUTURE_WRITE : 0);
  return fcntl(file, F_ADD_SEALS, seals);
}

int ally_event(void) { return eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK); }

pid_t ally_fork(int dies_with_parent) {
  pid_t parent = getpid();
  // What was printed and is still in here would be printed by both.
  fflush(NULL);
  pid_t child = fork();
  if (child == 0 && dies_with_parent) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent) _exit(1);
  }
  return child;
}

int ally_await_child(pid_t child) {
  int status = 0;
  while (waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

int ally_open_tap(const char *name, char *actual) {
  struct ifreq request = {.ifr_flags = IFF_TAP | IFF_NO_PI};
  if (strlen(name) >= IFNAMSIZ) {
    errno = ENAMETOOLONG;
    return -1;
  }
  strcpy(request.ifr_name, name);
  int tap = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
  if (tap < 0) return -1;
  if (ioctl(tap, TUNSETIFF, &request) < 0) {
    int code = errno;
    close(tap);
    errno = code;
    return -1;
  }
  memcpy(actual, request.ifr_name, IFNAMSIZ);
  return tap;
}

int ally_interface_is_running(const char *name) {
  struct ifreq request = {0};
  if (strlen(name) >= IFNAMSIZ) {
    errno = ENAMETOOLONG;
    return -1;
  }
  strcpy(request.ifr_name, name);
  int any = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (any < 0) return -1;
  int result = ioctl(any, SIOCGIFFLAGS, &request);
  int code = errno;
  close(any);
  errno = code;
  if (result < 0) return -1;
  return (request.ifr_flags & IFF_UP) && (request.ifr_flags & IFF_RUNNING);
}

int ally_stop_descriptor(void) {
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGINT);
  sigaddset(&signals, SIGTERM);
  if (sigprocmask(SIG_BLOCK, &signals, NULL) < 0) return -1;
  return signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK);
}

// The kernel sends a child's death signal when the thread that forked it ends. So a thread of its own forks, and stays
// as long as the child: it then ends with the child or with the whole process.
struct spawning {
  char *const *arguments;
  const int *kept;
  size_t count;
  int log;
  uid_t user;
  gid_t group;
  int started[2];
};

struct outcome {
  pid_t child;
  int code;
};

static void become(const struct spawning *spawning, pid_t parent) {
  // Other rights first: the death signal is forgotten with them. It has to be a signal that the parent may send.
  if (spawning->user != getuid() &&
      (setgroups(0, NULL) < 0 || setresgid(spawning->group, spawning->group, spawning->group) < 0 ||
       setresuid(spawning->user, spawning->user, spawning->user) < 0))
    _exit(127);
  if (ally_keep_capabilities(0) < 0 || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0) _exit(127);
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (getppid() != parent) _exit(127);
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, NULL);
  int null = open("/dev/null", O_RDONLY);
  if (null < 0 || dup2(null, 0) < 0 || dup2(spawning->log, 1) < 0 || dup2(spawning->log, 2) < 0) _exit(127);
  if (syscall(SYS_close_range, 3, ~0u, CLOSE_RANGE_CLOEXEC) < 0) _exit(127);
  for (size_t index = 0; index < spawning->count; index++)
    if (fcntl(spawning->kept[index], F_SETFD, 0) < 0) _exit(127);
  execvp(spawning->arguments[0], spawning->arguments);
  dprintf(2, "%s: %s\n", spawning->arguments[0], strerror(errno));
  _exit(127);
}

static void *spawn(void *argument) {
  struct spawning *spawning = argument;
  int started = spawning->started[1];
  pid_t parent = getpid();
  pid_t child = fork();
  if (child == 0) become(spawning, parent);
  struct outcome outcome = {child, errno};
  if (write(started, &outcome, sizeof outcome) < 0) { /* the caller is gone */
  }
  // `spawning` is the caller's, who now goes on.
  close(started);
  if (child > 0) {
    siginfo_t information;
    while (waitid(P_PID, (id_t)child, &information, WEXITED | WNOWAIT) < 0 && errno == EINTR) {
    }
  }
  return NULL;
}

int ally_spawn(char *const arguments[], const char *user, const int *kept, size_t count, int log) {
  struct spawning spawning = {
      .arguments = arguments, .kept = kept, .count = count, .log = log, .user = getuid(), .group = getgid()};
  if (user != NULL) {
    errno = 0;
    struct passwd *entry = getpwnam(user);
    if (entry == NULL) {
      if (errno == 0) errno = ENOENT;
      return -1;
    }
    spawning.user = entry->pw_uid;
    spawning.group = entry->pw_gid;
  }
  if (pipe2(spawning.started, O_CLOEXEC) < 0) return -1;
  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
  pthread_t thread;
  int code = pthread_create(&thread, &attributes, spawn, &spawning);
  pthread_attr_destroy(&attributes);
  struct outcome outcome = {-1, code};
  if (code != 0) {
    close(spawning.started[1]);
  } else {
    ssize_t count;
    do {
      count = read(spawning.started[0], &outcome, sizeof outcome);
    } while (count < 0 && errno == EINTR);
  }
  close(spawning.started[0]);
  errno = outcome.code;
  if (outcome.child < 0) return -1;
  // Nobody reaps it yet, so the number is still its own.
  int handle = (int)syscall(SYS_pidfd_open, outcome.child, 0);
  if (handle < 0) {
    int failure = errno;
    kill(outcome.child, SIGKILL);
    while (waitpid(outcome.child, NULL, 0) < 0 && errno == EINTR) {
    }
    errno = failure;
  }
  return handle;
}

void ally_end_spawned(int handle) {
  syscall(SYS_pidfd_send_signal, handle, SIGKILL, NULL, 0);
  siginfo_t information;
  while (waitid((idtype_t)P_PIDFD, (id_t)handle, &information, WEXITED) < 0 && errno == EINTR) {
  }
}

int ally_socket_pair(int kind, int ends[2]) { return socketpair(AF_UNIX, kind | SOCK_CLOEXEC, 0, ends); }

int ally_receive_patience(int socket, unsigned seconds) {
  struct timeval patience = {.tv_sec = seconds};
  return setsockopt(socket, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
}
