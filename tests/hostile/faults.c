/* Preloaded into a process: what it writes below FAULT_PATH fails with the error FAULT_ERRNO, as of a full disk (28), a
   folder without rights (13), one that is read-only (30), or a failing disk (5). Full and failing disks open files, and
   fail when bytes come. FAULT_SEEN is a file that is made when something failed. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

#define FILES 65536
static char faulty[FILES];

static int fault(void) {
    const char *number = getenv("FAULT_ERRNO");
    return number ? atoi(number) : 0;
}

static int is_below(const char *path) {
    const char *below = getenv("FAULT_PATH");
    return below && path && strstr(path, below) != NULL;
}

static int fail(void) {
    const char *seen = getenv("FAULT_SEEN");
    static int (*real)(const char *, int, ...);
    if (!real) real = dlsym(RTLD_NEXT, "open");
    if (seen) close(real(seen, O_CREAT | O_WRONLY, 0644));
    errno = fault();
    return -1;
}

static int fails_when_opened(void) { return fault() == EACCES || fault() == EROFS; }

static int opened(int file, const char *path, int flags) {
    if (file >= 0 && file < FILES) faulty[file] = (flags & (O_WRONLY | O_RDWR)) && is_below(path);
    return file;
}

#define OPENS(name, parameters, arguments)                                             \
    int name parameters {                                                              \
        static int (*real) parameters;                                                 \
        if (!real) real = dlsym(RTLD_NEXT, #name);                                     \
        va_list more;                                                                  \
        va_start(more, flags);                                                         \
        mode_t mode = (flags & (O_CREAT | __O_TMPFILE)) ? va_arg(more, mode_t) : 0;    \
        va_end(more);                                                                  \
        if ((flags & (O_WRONLY | O_RDWR)) && is_below(path) && fails_when_opened()) return fail(); \
        return opened(real arguments, path, flags);                                    \
    }
OPENS(open, (const char *path, int flags, ...), (path, flags, mode))
OPENS(open64, (const char *path, int flags, ...), (path, flags, mode))
OPENS(openat, (int folder, const char *path, int flags, ...), (folder, path, flags, mode))
OPENS(openat64, (int folder, const char *path, int flags, ...), (folder, path, flags, mode))

#define FOPEN(name)                                                                    \
    FILE *name(const char *path, const char *mode) {                                   \
        static FILE *(*real)(const char *, const char *);                              \
        if (!real) real = dlsym(RTLD_NEXT, #name);                                     \
        if (mode[strcspn(mode, "wa+")] && is_below(path)) {                            \
            fail();                                                                    \
            return NULL;                                                               \
        }                                                                              \
        return real(path, mode);                                                       \
    }
FOPEN(fopen)
FOPEN(fopen64)

int mkdir(const char *path, mode_t mode) {
    static int (*real)(const char *, mode_t);
    if (!real) real = dlsym(RTLD_NEXT, "mkdir");
    struct stat there;
    if (is_below(path) && fault() != EIO && stat(path, &there) != 0) return fail();
    return real(path, mode);
}

int close(int file) {
    static int (*real)(int);
    if (!real) real = dlsym(RTLD_NEXT, "close");
    if (file >= 0 && file < FILES) faulty[file] = 0;
    return real(file);
}

#define WRITES(result, name, parameters, arguments)                                    \
    result name parameters {                                                           \
        static result(*real) parameters;                                               \
        if (!real) real = dlsym(RTLD_NEXT, #name);                                     \
        if (file >= 0 && file < FILES && faulty[file]) return fail();                  \
        return real arguments;                                                         \
    }
WRITES(ssize_t, write, (int file, const void *bytes, size_t count), (file, bytes, count))
WRITES(ssize_t, pwrite, (int file, const void *bytes, size_t count, off_t at), (file, bytes, count, at))
WRITES(ssize_t, pwrite64, (int file, const void *bytes, size_t count, off64_t at), (file, bytes, count, at))
WRITES(ssize_t, writev, (int file, const struct iovec *parts, int count), (file, parts, count))
WRITES(ssize_t, sendfile, (int file, int from, off_t *at, size_t count), (file, from, at, count))
WRITES(ssize_t, sendfile64, (int file, int from, off64_t *at, size_t count), (file, from, at, count))
WRITES(int, ftruncate, (int file, off_t size), (file, size))
WRITES(int, ftruncate64, (int file, off64_t size), (file, size))
