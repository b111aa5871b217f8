/* The loop of the load, its sockets, and what it counts. */
#define _GNU_SOURCE
#include "load.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { BIG = 16384, LOOK = 16, EVENTS = 1024, PATIENCE = 10 /* seconds */, SAMPLES = 1 << 20, ADDRESSES = 1000 };

struct counted counted;
char *pattern, *incoming;

static int poller = -1, counting;
static uint64_t begun, ended, used, spent, waited;
static uint32_t *samples;
static size_t sampled;

void fail(const char *what) {
  fprintf(stderr, "load: %s%s%s\n", what, errno ? ": " : "", errno ? strerror(errno) : "");
  exit(1);
}

void wrong(const char *what) {
  errno = 0;
  fail(what);
}

uint64_t now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* What this process used so far, in nanoseconds. */
static uint64_t own_time(void) {
  struct timespec t;
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
  return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* What all threads of the server used so far, in nanoseconds; 0 where the kernel doesn't tell. */
static uint64_t server_time(void) {
  uint64_t sum = 0;
  const char *pid = options.pids;
  while (pid && *pid) {
    char path[128];
    snprintf(path, sizeof path, "/proc/%d/task", atoi(pid));
    DIR *folder = opendir(path);
    for (struct dirent *task; folder && (task = readdir(folder));) {
      unsigned long long nanoseconds;
      if (task->d_name[0] == '.') continue;
      snprintf(path, sizeof path, "/proc/%d/task/%.20s/schedstat", atoi(pid), task->d_name);
      FILE *file = fopen(path, "r");
      if (!file) continue;
      if (fscanf(file, "%llu", &nanoseconds) == 1) sum += nanoseconds;
      fclose(file);
    }
    if (folder) closedir(folder);
    pid = strchr(pid, ',');
    if (pid) pid++;
  }
  return sum;
}

void verify(uint64_t position, size_t count) {
  if (memcmp(incoming, pattern + position % PATTERN, count)) wrong("what came back is not what was sent");
}

/* A load that copies as much as the server does would be what limits it. So big messages are sent as pages of a file
 * in memory, and while it counts they are thrown away in the kernel (MSG_TRUNC, tcp(7)), but for one receive of some;
 * in the warm-up all are compared. */

ssize_t receive_stream(int fd, uint64_t position, size_t most) {
  static unsigned received;
  int look = options.size < BIG || !counting || received++ % LOOK == 0;
  ssize_t n = recv(fd, incoming, most, MSG_DONTWAIT | (look ? 0 : MSG_TRUNC));
  if (n > 0 && look) verify(position, (size_t)n);
  return n;
}

ssize_t send_stream(int fd, uint64_t position, size_t most) {
  static int pages = -1;
  off_t offset = (off_t)(position % PATTERN);
  if (options.size < BIG) return send(fd, pattern + offset, most, MSG_DONTWAIT | MSG_NOSIGNAL);
  if (pages < 0) {
    pages = memfd_create("pattern", 0);
    if (pages < 0 || write(pages, pattern, CHUNK + PATTERN) != CHUNK + PATTERN) fail("memfd_create");
  }
  return sendfile(fd, pages, &offset, most);
}

static void control(int operation, struct watched *w, uint32_t events) {
  struct epoll_event event = {.events = events, .data.ptr = w};
  if (poller < 0 && (poller = epoll_create1(0)) < 0) fail("epoll_create1");
  if (epoll_ctl(poller, operation, w->fd, &event)) fail("epoll_ctl");
  w->events = events;
}

void add(struct watched *w, uint32_t events) { control(EPOLL_CTL_ADD, w, events); }

void change(struct watched *w, uint32_t events) {
  if (events != w->events) control(EPOLL_CTL_MOD, w, events);
}

void turn(int milliseconds) {
  static struct epoll_event events[EVENTS];
  static uint64_t last;
  int n = epoll_wait(poller, events, EVENTS, milliseconds);
  if (n < 0) fail("epoll_wait");
  if (n || !last) last = now();
  if (!n && now() - last > PATIENCE * 1000000000ull) wrong("the server has stopped answering");
  for (int i = 0; i < n; i++) {
    struct watched *w = events[i].data.ptr;
    w->ready(w, events[i].events);
  }
}

void tune(int fd, int level, int option, int value) {
  if (setsockopt(fd, level, option, &value, sizeof value)) fail("setsockopt");
}

int dial(int type, int spread, int blocking) {
  static unsigned dialled;
  struct sockaddr_in server = {.sin_family = AF_INET, .sin_port = htons((uint16_t)options.port)};
  struct sockaddr_in here = {.sin_family = AF_INET};
  server.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  int fd = socket(AF_INET, type | (blocking ? 0 : SOCK_NONBLOCK), 0);
  if (fd < 0) fail("socket");
  if (type == SOCK_STREAM) tune(fd, IPPROTO_TCP, TCP_NODELAY, 1);
  if (spread) {
    /* 127.0.0.2 and on. The port is chosen by connect, which needs one that is free for this server only. */
    here.sin_addr.s_addr = htonl(INADDR_LOOPBACK + 1 + dialled++ % ADDRESSES);
    tune(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1);
    if (bind(fd, (struct sockaddr *)&here, sizeof here)) fail("bind");
  }
  if (connect(fd, (struct sockaddr *)&server, sizeof server) && errno != EINPROGRESS) fail("connect");
  return fd;
}

void count(void (*also)(uint64_t)) {
  uint64_t begin = now() + (uint64_t)(options.warmup * 1e9), t;
  for (;;) {
    turn(also ? 1 : 100);
    waited++;
    t = now();
    if (!counting && t >= begin) {
      counting = 1;
      counted = (struct counted){0};
      sampled = waited = 0;
      used = server_time();
      spent = own_time();
      begun = now();
    } else if (counting && t >= begun + (uint64_t)(options.seconds * 1e9)) {
      break;
    }
    if (also) also(t);
  }
  ended = now();
  used = server_time() - used;
  spent = own_time() - spent;
}

void report(const char *more) {
  printf("{\"messages\": %llu, \"bytes\": %llu, \"lost\": %llu, \"seconds\": %.6f, \"cpu\": %.6f, \"load\": %.6f, "
         "\"waits\": %llu%s}\n",
         (unsigned long long)counted.messages, (unsigned long long)counted.bytes, (unsigned long long)counted.lost,
         (double)(ended - begun) * 1e-9, (double)used * 1e-9, (double)spent * 1e-9, (unsigned long long)waited, more);
}

void sample(uint64_t nanoseconds) {
  if (!samples && !(samples = malloc(SAMPLES * sizeof *samples))) fail("samples");
  if (sampled < SAMPLES) samples[sampled++] = nanoseconds > UINT32_MAX ? UINT32_MAX : (uint32_t)nanoseconds;
}

static int by_size(const void *a, const void *b) {
  uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
  return (x > y) - (x < y);
}

void percentiles(char *text, size_t room) {
  if (!sampled) wrong("nothing was answered");
  qsort(samples, sampled, sizeof *samples, by_size);
  snprintf(text, room, ", \"samples\": %zu, \"p50\": %.2f, \"p99\": %.2f", sampled, samples[sampled / 2] / 1e3,
           samples[sampled * 99 / 100] / 1e3);
}
