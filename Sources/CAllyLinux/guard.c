#define _GNU_SOURCE
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/mman.h>

#include "CAllyLinux.h"

// The signal is the process's, so the table is too. The handler may interrupt anything: it reads the table without a lock,
// and `start` is stored last when an entry begins and first when it ends.
enum { most_mappings = 4096 };

static struct {
  _Atomic(char *) start;
  _Atomic size_t length;
  atomic_int is_lost;
} mappings[most_mappings];
static atomic_int used;
static pthread_mutex_t writing = PTHREAD_MUTEX_INITIALIZER;

static void lose(int signal, siginfo_t *information, void *context) {
  (void)context;
  char *place = information->si_addr;
  int count = atomic_load(&used);
  for (int number = 0; number < count; number++) {
    char *start = atomic_load(&mappings[number].start);
    size_t length = atomic_load(&mappings[number].length);
    if (start == NULL || place < start || place >= start + length) continue;
    // All of it, which also holds where the file has larger pages than the machine.
    void *zeros = mmap(start, length, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_NORESERVE, -1, 0);
    if (zeros == MAP_FAILED) break;
    atomic_store(&mappings[number].is_lost, 1);
    return;
  }
  // Not ours: the access is made again, and ends the process.
  struct sigaction usual = {.sa_handler = SIG_DFL};
  sigaction(signal, &usual, NULL);
}

int ally_guard_begin(void) {
  struct sigaction action = {.sa_sigaction = lose, .sa_flags = SA_SIGINFO};
  sigemptyset(&action.sa_mask);
  return sigaction(SIGBUS, &action, NULL);
}

int ally_guard_add(void *start, size_t length) {
  int found = -1;
  pthread_mutex_lock(&writing);
  for (int number = 0; number < most_mappings; number++) {
    if (atomic_load(&mappings[number].start) != NULL) continue;
    atomic_store(&mappings[number].is_lost, 0);
    atomic_store(&mappings[number].length, length);
    atomic_store(&mappings[number].start, start);
    if (number >= atomic_load(&used)) atomic_store(&used, number + 1);
    found = number;
    break;
  }
  pthread_mutex_unlock(&writing);
  return found;
}

void ally_guard_remove(int number) {
  if (number >= 0) atomic_store(&mappings[number].start, NULL);
}

int ally_guard_is_lost(int number) { return number >= 0 && atomic_load(&mappings[number].is_lost); }
