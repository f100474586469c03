/* unblocked.h: writes to a descriptor that others share, and never waits for who reads it. */
#ifndef BASE_UNBLOCKED_H
#define BASE_UNBLOCKED_H

#include <sys/types.h>

/* As write(2), but where that would wait it is -1 with EAGAIN, and part of the bytes may be taken; of at most PIPE_BUF bytes a
 * pipe takes all or none. The descriptor's flags are left alone. Only a file on a disk is waited for. */
ssize_t unblocked_write(int fd, const void *bytes, size_t n);

#endif
