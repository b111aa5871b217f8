/* The load: keeps one message on its way over each of some connections to an echo server, and counts.
 *
 *     cc -O2 -o load load.c
 *     ./load PORT CONNECTIONS SIZE WARMUP SECONDS PID
 *
 * SIZE is in bytes, WARMUP and SECONDS in seconds, PID the server's process. After the warm-up it counts for SECONDS
 * and prints one line of JSON: the messages that came back whole, the seconds this took, and the processor time in
 * seconds that the server used meanwhile (0 where the kernel doesn't tell). Every byte is compared with what was
 * sent. A lost connection, a wrong byte or a second without any progress ends it with status 1.
 *
 * One thread and epoll. It must never be what limits a server written in Python; a loop in C has that in hand.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

struct connection {
  int fd;
  int waits_to_send; /* EPOLLOUT is asked for */
  size_t sent, received; /* of the present message */
  size_t start; /* where in the pattern it begins: each message differs from the one before */
};

enum { PATTERN = 251, EVENTS = 512 }; /* a prime, so that no message size hides a shift */

static size_t size;
static char *pattern, *incoming;
static int poller;

static void fail(const char *what) {
  fprintf(stderr, "load: %s: %s\n", what, errno ? strerror(errno) : "unexpected");
  exit(1);
}

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static double processor_time(const char *pid) {
  char path[64];
  unsigned long long nanoseconds = 0;
  snprintf(path, sizeof path, "/proc/%.20s/schedstat", pid);
  FILE *file = fopen(path, "r");
  if (!file) return 0;
  if (fscanf(file, "%llu", &nanoseconds) != 1) nanoseconds = 0;
  fclose(file);
  return (double)nanoseconds * 1e-9;
}

static void watch(struct connection *c, int operation, int to_send) {
  struct epoll_event event = {.events = EPOLLIN | (to_send ? EPOLLOUT : 0), .data.ptr = c};
  if (epoll_ctl(poller, operation, c->fd, &event)) fail("epoll_ctl");
  c->waits_to_send = to_send;
}

static void send_rest(struct connection *c) {
  ssize_t n = send(c->fd, pattern + c->start + c->sent, size - c->sent, MSG_DONTWAIT | MSG_NOSIGNAL);
  if (n < 0 && errno != EAGAIN) fail("send");
  if (n > 0) c->sent += (size_t)n;
  int unsent = c->sent < size;
  if (unsent != c->waits_to_send) watch(c, EPOLL_CTL_MOD, unsent);
}

/* Whether a message came back whole; the next one is then on its way. */
static int receive(struct connection *c) {
  ssize_t n = recv(c->fd, incoming, size - c->received, MSG_DONTWAIT);
  if (n < 0 && errno == EAGAIN) return 0;
  if (n <= 0) fail("recv");
  if (memcmp(incoming, pattern + c->start + c->received, (size_t)n)) {
    errno = 0;
    fail("what came back is not what was sent");
  }
  c->received += (size_t)n;
  if (c->received < size) return 0;
  c->received = c->sent = 0;
  c->start = (c->start + 1) % PATTERN;
  send_rest(c);
  return 1;
}

static void dial(struct connection *c, int port, int number) {
  struct sockaddr_in server = {.sin_family = AF_INET, .sin_port = htons((unsigned short)port)};
  int one = 1;
  server.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  c->fd = socket(AF_INET, SOCK_STREAM, 0);
  if (c->fd < 0 || connect(c->fd, (struct sockaddr *)&server, sizeof server)) fail("connect");
  setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  c->start = (size_t)number % PATTERN;
  watch(c, EPOLL_CTL_ADD, 0);
}

int main(int argc, char **argv) {
  if (argc != 7) {
    fprintf(stderr, "usage: load PORT CONNECTIONS SIZE WARMUP SECONDS PID\n");
    return 2;
  }
  int port = atoi(argv[1]), connections = atoi(argv[2]);
  size = strtoul(argv[3], NULL, 10);
  double warmup = atof(argv[4]), seconds = atof(argv[5]);
  const char *pid = argv[6];

  struct connection *all = calloc((size_t)connections, sizeof *all);
  pattern = malloc(size + PATTERN);
  incoming = malloc(size);
  poller = epoll_create1(0);
  if (!all || !pattern || !incoming || poller < 0) fail("start");
  for (size_t i = 0; i < size + PATTERN; i++) pattern[i] = (char)(i % PATTERN);
  for (int i = 0; i < connections; i++) dial(&all[i], port, i);
  for (int i = 0; i < connections; i++) send_rest(&all[i]);

  struct epoll_event events[EVENTS];
  unsigned long long messages = 0;
  double begin = now() + warmup, used = 0, t;
  int counting = 0;
  for (;;) {
    int n = epoll_wait(poller, events, EVENTS, 1000);
    if (n < 0) fail("epoll_wait");
    if (n == 0) {
      errno = 0;
      fail("a second without progress");
    }
    t = now();
    if (!counting && t >= begin) {
      counting = 1;
      messages = 0;
      used = processor_time(pid);
      begin = now();
    } else if (counting && t >= begin + seconds) {
      break;
    }
    for (int i = 0; i < n; i++) {
      struct connection *c = events[i].data.ptr;
      if (c->waits_to_send) send_rest(c);
      if (events[i].events & ~(unsigned)EPOLLOUT) messages += (unsigned)receive(c);
    }
  }
  used = processor_time(pid) - used;
  printf("{\"messages\": %llu, \"seconds\": %.6f, \"cpu\": %.6f}\n", messages, t - begin, used);
  return 0;
}
