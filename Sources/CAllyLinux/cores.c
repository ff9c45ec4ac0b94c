#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "CAllyLinux.h"

int ally_pin(int processor) {
  if (processor < 0 || processor >= CPU_SETSIZE) {
    errno = EINVAL;
    return -1;
  }
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(processor, &set);
  return sched_setaffinity(0, sizeof set, &set);
}

struct ally_place {
  cpu_set_t set;
};

struct ally_place *ally_place_note(void) {
  struct ally_place *place = malloc(sizeof *place);
  if (place != NULL && sched_getaffinity(0, sizeof place->set, &place->set) < 0) {
    free(place);
    return NULL;
  }
  return place;
}

void ally_place_return(struct ally_place *place) {
  if (place == NULL) return;
  struct sched_param usual = {0};
  sched_setscheduler(0, SCHED_OTHER, &usual);
  ally_wake_in_time(0);
  sched_setaffinity(0, sizeof place->set, &place->set);
  free(place);
}

int ally_realtime(int priority) {
  struct sched_param wanted = {.sched_priority = priority};
  return sched_setscheduler(0, SCHED_FIFO, &wanted);
}

void ally_wake_in_time(int exactly) { prctl(PR_SET_TIMERSLACK, exactly ? 1UL : 0UL, 0, 0, 0); }

int ally_lock_memory(void) {
  // What is mapped later counts too, when the right to lock is given up. Who may not raise the limit keeps the one he has.
  struct rlimit none = {RLIM_INFINITY, RLIM_INFINITY};
  setrlimit(RLIMIT_MEMLOCK, &none);
  // What is touched stays; guests' memory that nobody touches is not fetched for it.
  return mlockall(MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT);
}

int ally_node(int processor) {
  char path[64];
  snprintf(path, sizeof path, "/sys/devices/system/cpu/cpu%d", processor);
  DIR *folder = opendir(path);
  if (folder == NULL) return -1;
  int node = -1;
  for (struct dirent *entry = readdir(folder); entry != NULL; entry = readdir(folder)) {
    if (strncmp(entry->d_name, "node", 4) == 0 && sscanf(entry->d_name + 4, "%d", &node) == 1) break;
  }
  closedir(folder);
  return node;
}

int ally_prefer_node(int node) {
  // MPOL_PREFERRED, and a mask of up to 1,024 nodes.
  unsigned long mask[1024 / (8 * sizeof(unsigned long))] = {0};
  if (node < 0 || node >= 1024) {
    errno = EINVAL;
    return -1;
  }
  mask[(size_t)node / (8 * sizeof *mask)] = 1ul << ((size_t)node % (8 * sizeof *mask));
  return (int)syscall(SYS_set_mempolicy, 1, mask, 1025ul);
}

static void *run_thread(void *argument) {
  struct ally_thread *thread = argument;
  thread->body(thread->context);
  return NULL;
}

int ally_thread_start(struct ally_thread *thread) {
  pthread_t number;
  int code = pthread_create(&number, NULL, run_thread, thread);
  thread->number = (unsigned long)number;
  return code;
}

void ally_thread_await(struct ally_thread *thread) { pthread_join((pthread_t)thread->number, NULL); }
