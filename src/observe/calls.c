/* Prints, for each path, the results of the calls that the library takes over, one in a line. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static void kind(const char *call, int result, struct stat *found) {
    if (result == 0)
        printf("%s: %o %lld %lld\n", call, found->st_mode, (long long)found->st_size, (long long)found->st_ino);
    else
        printf("%s: error %d\n", call, errno);
}

static void opened(const char *call, int file) {
    if (file < 0)
        printf("%s: error %d\n", call, errno);
    else
        printf("%s: %o\n", call, fcntl(file, F_GETFL));
    if (file >= 0)
        close(file);
}

int main(int count, char **paths) {
    char text[PATH_MAX];
    struct stat found;
    for (int i = 1; i < count; i++) {
        const char *path = paths[i];
        printf("%.40s\n", path);
        errno = 0;
        char *resolved = realpath(path, NULL);
        printf("realpath: %s %d\n", resolved ? resolved : "-", resolved ? 0 : errno);
        free(resolved);
        memset(text, 0, sizeof text);
        errno = 0;
        resolved = realpath(path, text);
        printf("realpath into: %s %d %s\n", resolved ? resolved : "-", resolved ? 0 : errno, resolved ? text : "-");
        char *name = canonicalize_file_name(path);
        printf("canonicalize_file_name: %s\n", name ? name : "-");
        free(name);
        kind("stat", stat(path, &found), &found);
        kind("lstat", lstat(path, &found), &found);
        printf("access: %d\n", access(path, R_OK) ? errno : 0);
        ssize_t length = readlink(path, text, sizeof text - 1);
        printf("readlink: %zd %.*s %d\n", length, length > 0 ? (int)length : 0, text, length < 0 ? errno : 0);
        length = readlink(path, text, 2);
        printf("readlink, short: %zd %.*s\n", length, length > 0 ? (int)length : 0, text);
        int here = open(".", O_RDONLY | O_DIRECTORY);
        length = readlinkat(here, path, text, sizeof text - 1);
        printf("readlinkat: %zd %.*s\n", length, length > 0 ? (int)length : 0, text);
        opened("openat", openat(here, path, O_RDONLY));
        close(here);
        opened("open", open(path, O_RDONLY | O_CLOEXEC));
        opened("open, directory", open(path, O_RDONLY | O_DIRECTORY));
        opened("open, not followed", open(path, O_RDONLY | O_NOFOLLOW));
    }
    errno = 0;
    printf("null: %d\n", realpath(NULL, text) == NULL ? errno : 0);
    printf("null: %d\n", stat(NULL, &found) ? errno : 0);
    printf("null: %d\n", open(NULL, O_RDONLY) < 0 ? errno : 0);
    return 0;
}
