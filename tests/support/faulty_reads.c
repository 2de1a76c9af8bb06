/* Preloaded into a program: its reads at an offset are slow, or fail, for files whose path contains
   FAULTY_FILE.

   FAULTY_SLEEP   microseconds that each read takes longer
   FAULTY_AFTER   reads that succeed; later ones fail with EIO. Unset: all succeed.
   FAULTY_SHORT   1: each read returns at most 100 bytes, as a network file system may
   FAULTY_LOG     a file that gets one byte for each read of such a file */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

typedef ssize_t (*Read)(int, void*, size_t, off_t);

static atomic_long reads;

static int is_faulty(int descriptor) {
  const char* name = getenv("FAULTY_FILE");
  if (name == NULL) return 0;
  char link[64], path[4097];
  snprintf(link, sizeof link, "/proc/self/fd/%d", descriptor);
  const ssize_t length = readlink(link, path, sizeof path - 1);
  if (length < 0) return 0;
  path[length] = '\0';
  return strstr(path, name) != NULL;
}

static ssize_t faulty_read(const char* symbol, int descriptor, void* to, size_t bytes, off_t offset) {
  const Read next = (Read)dlsym(RTLD_NEXT, symbol);
  if (!is_faulty(descriptor)) return next(descriptor, to, bytes, offset);
  const long number = atomic_fetch_add(&reads, 1);
  const char *sleep = getenv("FAULTY_SLEEP"), *after = getenv("FAULTY_AFTER"), *log = getenv("FAULTY_LOG");
  if (log != NULL) {
    const int file = open(log, O_WRONLY | O_CREAT | O_APPEND, 0600);
    if (file >= 0) {
      if (write(file, "r", 1) != 1) abort();
      close(file);
    }
  }
  if (sleep != NULL) usleep((useconds_t)atol(sleep));
  if (after != NULL && number >= atol(after)) {
    errno = EIO;
    return -1;
  }
  if (getenv("FAULTY_SHORT") != NULL && bytes > 100) bytes = 100;
  return next(descriptor, to, bytes, offset);
}

ssize_t pread(int descriptor, void* to, size_t bytes, off_t offset) {
  return faulty_read("pread", descriptor, to, bytes, offset);
}
ssize_t pread64(int descriptor, void* to, size_t bytes, off_t offset) {
  return faulty_read("pread64", descriptor, to, bytes, offset);
}
