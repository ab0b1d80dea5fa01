#include "tests/chaos/channel_kill/board.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "common/base/err.h"

struct board *board_open(const char *path, bool make)
{
    int fd = open(path, O_RDWR | O_CLOEXEC | (make ? O_CREAT | O_EXCL : 0), 0600);
    MUST(fd >= 0);
    MUST(!make || ftruncate(fd, sizeof(struct board)) == 0);
    void *at = mmap(NULL, sizeof(struct board), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    MUST(at != MAP_FAILED);
    close(fd);
    return at;
}
