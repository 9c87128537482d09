// Preloaded into Redis: shifts its wall clock by the number of seconds in a file of eight bytes, which may change at
// any moment. The monotonic clock is not shifted. libfaketime cannot be used: it and jemalloc, with which Redis is
// built, each need the other to be loaded first.
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static const volatile int64_t *offset_seconds;

__attribute__((constructor)) static void open_offset(void) {
  const char *path = getenv("REDIS_CLOCK_FILE");
  int file = path ? open(path, O_RDONLY) : -1;
  if (file < 0) return;
  void *mapped = mmap(NULL, sizeof(int64_t), PROT_READ, MAP_SHARED, file, 0);
  if (mapped != MAP_FAILED) offset_seconds = mapped;
  close(file);
}

static int64_t offset(void) { return offset_seconds ? *offset_seconds : 0; }

int clock_gettime(clockid_t clock, struct timespec *into) {
  int result = (int)syscall(SYS_clock_gettime, clock, into);
  if (result == 0 && clock == CLOCK_REALTIME) into->tv_sec += offset();
  return result;
}

int gettimeofday(struct timeval *restrict into, void *restrict zone) {
  int result = (int)syscall(SYS_gettimeofday, into, zone);
  if (result == 0) into->tv_sec += offset();
  return result;
}

time_t time(time_t *into) {
  struct timeval now;
  gettimeofday(&now, NULL);
  if (into) *into = now.tv_sec;
  return now.tv_sec;
}
