#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/audit.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <net/if.h>
#include <pthread.h>
#include <pwd.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include "CAllyLinux.h"

#if defined(__x86_64__)
#define THIS_MACHINE AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define THIS_MACHINE AUDIT_ARCH_AARCH64
#endif

int ally_become(const char *name) {
  errno = 0;
  struct passwd *user = getpwnam(name);
  if (user == NULL) {
    if (errno == 0) errno = ENOENT;
    return -1;
  }
  // What is kept of root's capabilities is for ally_keep_capabilities to say.
  if (prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) < 0) return -1;
  if (setgroups(0, NULL) < 0 || setresgid(user->pw_gid, user->pw_gid, user->pw_gid) < 0 ||
      setresuid(user->pw_uid, user->pw_uid, user->pw_uid) < 0)
    return -1;
  return 0;
}

int ally_keep_capabilities(int locks_memory) {
  struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
  struct __user_cap_data_struct data[2] = {{0}};
  struct rlimit limit = {0, 0};
  if (syscall(SYS_capget, &header, data) < 0 || getrlimit(RLIMIT_MEMLOCK, &limit) < 0) return -1;
  unsigned kept = locks_memory && limit.rlim_cur != RLIM_INFINITY ? 1u << CAP_IPC_LOCK & data[0].permitted : 0;
  struct __user_cap_data_struct wanted[2] = {{.effective = kept, .permitted = kept}};
  return (int)syscall(SYS_capset, &header, wanted);
}

// What a server of guests, or a listener, needs once all is set up: its descriptors, memory, time, waiting, and files for
// what it writes down.
static const int allowed[] = {
    SYS_read, SYS_write, SYS_readv, SYS_writev, SYS_pread64, SYS_pwrite64, SYS_close, SYS_lseek, SYS_fcntl, SYS_fsync,
    SYS_fdatasync, SYS_ftruncate, SYS_fstat, SYS_newfstatat, SYS_statx, SYS_openat, SYS_mkdirat, SYS_unlinkat,
    SYS_renameat, SYS_renameat2, SYS_faccessat, SYS_readlinkat, SYS_getcwd, SYS_getdents64, SYS_dup, SYS_umask,
    SYS_recvmsg, SYS_recvmmsg, SYS_recvfrom, SYS_sendmsg, SYS_sendmmsg, SYS_sendto, SYS_accept, SYS_accept4, SYS_connect, SYS_shutdown, SYS_getsockopt,
    SYS_setsockopt, SYS_ppoll, SYS_eventfd2, SYS_munmap, SYS_mremap, SYS_madvise, SYS_brk, SYS_mlock, SYS_munlock,
    SYS_futex, SYS_clock_gettime, SYS_clock_getres, SYS_clock_nanosleep, SYS_nanosleep, SYS_gettimeofday, SYS_getrandom,
    SYS_getpid, SYS_gettid, SYS_getuid, SYS_geteuid, SYS_getgid, SYS_getegid, SYS_sched_yield, SYS_sched_getaffinity,
    SYS_getcpu, SYS_sysinfo, SYS_uname, SYS_rt_sigaction, SYS_rt_sigprocmask, SYS_rt_sigreturn, SYS_sigaltstack,
    SYS_tgkill, SYS_restart_syscall, SYS_membarrier, SYS_exit, SYS_exit_group, SYS_set_robust_list, SYS_rseq,
    // Of processes, those that were started before can be ended: nothing opens a handle to another.
    SYS_pidfd_send_signal,
    // Memory that a front end is to keep.
    SYS_memfd_create,
#if defined(__x86_64__)
    SYS_open, SYS_stat, SYS_lstat, SYS_mkdir, SYS_unlink, SYS_rename, SYS_access, SYS_readlink, SYS_poll, SYS_time,
#endif
};

// What a keeper needs: its workers' notes, its starters, signals, and the operator's socket. It opens nothing.
static const int allowed_to_keep[] = {
    SYS_read, SYS_write, SYS_close, SYS_lseek, SYS_fstat, SYS_recvmsg, SYS_sendmsg, SYS_ppoll, SYS_accept4, SYS_socketpair,
    SYS_getsockopt, SYS_pipe2, SYS_kill, SYS_wait4, SYS_unlinkat, SYS_munmap, SYS_mremap, SYS_madvise, SYS_brk, SYS_futex,
    SYS_clock_gettime, SYS_getrandom, SYS_getpid, SYS_gettid, SYS_geteuid, SYS_rt_sigaction, SYS_rt_sigprocmask,
    SYS_rt_sigreturn, SYS_sigaltstack, SYS_tgkill, SYS_restart_syscall, SYS_exit, SYS_exit_group,
#if defined(__x86_64__)
    SYS_poll, SYS_unlink,
#endif
};

static const int allowed_requests[] = {SIOCGIFFLAGS, SIOCGIFINDEX, TCGETS, TIOCGWINSZ, FIONREAD};

enum { most_steps = 512 };

struct program {
  struct sock_filter steps[most_steps];
  unsigned short count;
};

static void step(struct program *program, struct sock_filter filter) {
  if (program->count < most_steps) program->steps[program->count++] = filter;
}

static void load(struct program *program, unsigned offset) {
  step(program, (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offset));
}

static void answer(struct program *program, unsigned what) {
  step(program, (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, what));
}

// The steps that follow, `count` of them, are for one value alone.
static void only_if(struct program *program, unsigned value, unsigned char count) {
  step(program, (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, value, 0, count));
}

// The low half of an argument: no flag that is looked at is in the other.
static unsigned argument(unsigned number) { return offsetof(struct seccomp_data, args) + number * sizeof(uint64_t); }

// A call for which one of some values of an argument is allowed, and no other.
static void allow_values(struct program *program, int call, unsigned number, const int *values, unsigned count) {
  only_if(program, (unsigned)call, (unsigned char)(2 + 2 * count));
  load(program, argument(number));
  for (unsigned index = 0; index < count; index++) {
    only_if(program, (unsigned)values[index], 1);
    answer(program, SECCOMP_RET_ALLOW);
  }
  answer(program, SECCOMP_RET_KILL_PROCESS);
}

// A call whose answer depends on a bit of an argument.
static void answer_by_bit(
    struct program *program, int call, unsigned number, unsigned bit, unsigned when_set, unsigned when_clear) {
  only_if(program, (unsigned)call, 4);
  load(program, argument(number));
  step(program, (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, bit, 0, 1));
  answer(program, when_set);
  answer(program, when_clear);
}

#ifdef THIS_MACHINE
// Begins a filter with the calls that are allowed whatever their arguments.
static void begin(struct program *program, const int *calls, size_t count) {
  program->count = 0;
  load(program, offsetof(struct seccomp_data, arch));
  step(program, (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, THIS_MACHINE, 1, 0));
  answer(program, SECCOMP_RET_KILL_PROCESS);
  // The calls of another ABI have numbers of their own, which are in no list.
  load(program, offsetof(struct seccomp_data, nr));
  for (size_t index = 0; index < count; index++) {
    only_if(program, (unsigned)calls[index], 1);
    answer(program, SECCOMP_RET_ALLOW);
  }
}

// Ends a filter, and enters it.
static int enter(struct program *program) {
  // Whoever compiles a pattern to machine code is told that it has to do without.
  answer_by_bit(program, SYS_mmap, 2, PROT_EXEC, SECCOMP_RET_ERRNO | EACCES, SECCOMP_RET_ALLOW);
  answer_by_bit(program, SYS_mprotect, 2, PROT_EXEC, SECCOMP_RET_ERRNO | EACCES, SECCOMP_RET_ALLOW);
  answer(program, SECCOMP_RET_KILL_PROCESS);
  if (program->count == most_steps) {
    errno = E2BIG;
    return -1;
  }
  // A handler of a crash that starts a program to explain it (Swift's backtracer) would die of the filter: whoever waits for this
  // process would hear of that instead of the crash.
  const int crashes[] = {SIGQUIT, SIGILL, SIGTRAP, SIGABRT, SIGBUS, SIGFPE, SIGSEGV};
  for (size_t index = 0; index < sizeof crashes / sizeof *crashes; index++) signal(crashes[index], SIG_DFL);
  struct sock_fprog filter = {program->count, program->steps};
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0) return -1;
  return syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC, &filter) == 0 ? 0 : -1;
}
#endif

int ally_sandbox_enter(void) {
#ifndef THIS_MACHINE
  errno = ENOSYS;
  return -1;
#else
  static struct program program;
  begin(&program, allowed, sizeof allowed / sizeof *allowed);
  const int local = AF_UNIX;
  allow_values(&program, SYS_socket, 0, &local, 1);
  allow_values(&program, SYS_ioctl, 1, allowed_requests, sizeof allowed_requests / sizeof *allowed_requests);
  const int handle = P_PIDFD;
  allow_values(&program, SYS_waitid, 0, &handle, 1);
  const int naming[] = {PR_SET_NAME, PR_GET_NAME};
  allow_values(&program, SYS_prctl, 0, naming, 2);
  // The operator's clients have a thread each. What the flags of clone3 are is behind a pointer, out of a filter's sight: a C
  // library that is told that there is no such call uses the other.
  answer_by_bit(&program, SYS_clone, 0, CLONE_THREAD, SECCOMP_RET_ALLOW, SECCOMP_RET_KILL_PROCESS);
  only_if(&program, SYS_clone3, 1);
  answer(&program, SECCOMP_RET_ERRNO | ENOSYS);
  return enter(&program);
#endif
}

int ally_sandbox_enter_keeper(void) {
#ifndef THIS_MACHINE
  errno = ENOSYS;
  return -1;
#else
  static struct program program;
  begin(&program, allowed_to_keep, sizeof allowed_to_keep / sizeof *allowed_to_keep);
  return enter(&program);
#endif
}

static void *do_nothing(void *nothing) { return nothing; }

// Whether there is no memory that can be executed.
static int is_refused(void) {
  void *memory = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  return memory != MAP_FAILED && mprotect(memory, 4096, PROT_READ | PROT_EXEC) < 0 && errno == EACCES &&
         mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED && errno == EACCES;
}

// As a backtracer does.
static void start_program(int number) {
  (void)number;
  syscall(SYS_clone, SIGCHLD, NULL, NULL, NULL, 0);
  _exit(5);
}

int ally_sandbox_probe(int what, int keeps) {
  pid_t child = fork();
  if (child < 0) return -1;
  if (child == 0) {
    const struct rlimit no_core = {0, 0};
    setrlimit(RLIMIT_CORE, &no_core);
    signal(SIGSEGV, start_program);
    if ((keeps ? ally_sandbox_enter_keeper() : ally_sandbox_enter()) < 0) _exit(2);
    char *const none[] = {NULL};
    pthread_t thread;
    switch (what) {
      case 0: syscall(SYS_getpid); break;
      case 1: syscall(SYS_execve, "/bin/true", none, none); break;
      case 2: syscall(SYS_socket, AF_INET, SOCK_STREAM, 0); break;
      case 3: syscall(SYS_socket, AF_UNIX, SOCK_DGRAM, 0); break;
      case 4: if (!is_refused()) _exit(4); break;
      case 5: syscall(SYS_mmap, NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0); break;
      case 6: syscall(SYS_ptrace, PTRACE_TRACEME, 0, 0, 0); break;
      case 7: syscall(SYS_ioctl, 1, TIOCSTI, "x"); break;
      case 8: syscall(SYS_setuid, 0); break;
      case 9: if (pthread_create(&thread, NULL, do_nothing, NULL) != 0 || pthread_join(thread, NULL) != 0) _exit(4); break;
      case 10: syscall(SYS_clone, SIGCHLD, NULL, NULL, NULL, 0); break;
      case 11: prctl(PR_SET_DUMPABLE, 1, 0, 0, 0); break;
      case 12: syscall(SYS_kill, getppid(), 0); break;
      case 13: syscall(SYS_pidfd_open, getppid(), 0); break;
      case 14: ally_end_spawned(-1); break;
      case 15: raise(SIGSEGV); break;
      case 16: syscall(SYS_openat, AT_FDCWD, "/dev/null", O_RDONLY); break;
      default: _exit(3);
    }
    syscall(SYS_exit_group, 0);
  }
  int status = 0;
  while (waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}
