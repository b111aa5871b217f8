/* An epoll loop in C: what the machine can do.
 *
 *     bare SERVICE BUFFER
 *
 * The same services as the servers in Python, announced in the same way.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { BACKLOG = 4096, DATAGRAM_BUFFER = 1 << 20, PATTERN = 251, BATCH = 64, EVENTS = 1023 };

struct client {
  int fd;
  char *unsent; /* what could not be sent back */
  size_t begin, end;
  size_t position; /* of a source in its content */
};

static int poller;
static char *space, *content;
static size_t room, length;

static void fail(const char *what) {
  perror(what);
  exit(1);
}

static void watch(int operation, int fd, void *data, unsigned events) {
  struct epoll_event event = {.events = events, .data.ptr = data};
  if (epoll_ctl(poller, operation, fd, &event)) fail("epoll_ctl");
}

static void leave(struct client *c) {
  close(c->fd);
  free(c->unsent);
  free(c);
}

static void echo(struct client *c) {
  ssize_t n, m;
  if (c->unsent) {
    m = send(c->fd, c->unsent + c->begin, c->end - c->begin, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (m < 0 && errno == EAGAIN) return;
    if (m < 0) {
      leave(c);
      return;
    }
    c->begin += (size_t)m;
    if (c->begin < c->end) return;
    free(c->unsent);
    c->unsent = NULL;
    watch(EPOLL_CTL_MOD, c->fd, c, EPOLLIN);
    return;
  }
  n = recv(c->fd, space, room, MSG_DONTWAIT);
  if (n < 0 && errno == EAGAIN) return;
  if (n <= 0) {
    leave(c);
    return;
  }
  m = send(c->fd, space, (size_t)n, MSG_DONTWAIT | MSG_NOSIGNAL);
  if (m < 0 && errno != EAGAIN) {
    leave(c);
    return;
  }
  if (m < 0) m = 0;
  if (m == n) return;
  c->begin = 0;
  c->end = (size_t)(n - m);
  if (!(c->unsent = malloc(c->end))) fail("malloc");
  memcpy(c->unsent, space + m, c->end);
  watch(EPOLL_CTL_MOD, c->fd, c, EPOLLOUT);
}

static void sink(struct client *c) {
  ssize_t n = recv(c->fd, space, room, MSG_DONTWAIT);
  if (n < 0 && errno == EAGAIN) return;
  if (n <= 0) leave(c);
}

static void source(struct client *c) {
  ssize_t n = send(c->fd, content + c->position, length - c->position, MSG_DONTWAIT | MSG_NOSIGNAL);
  if (n < 0 && errno == EAGAIN) return;
  if (n < 0) leave(c);
  else c->position = (c->position + (size_t)n) % length;
}

static void datagrams(int fd) {
  for (int i = 0; i < BATCH; i++) {
    struct sockaddr_in peer;
    socklen_t size = sizeof peer;
    ssize_t n = recvfrom(fd, space, room, MSG_DONTWAIT, (struct sockaddr *)&peer, &size);
    if (n < 0) return;
    sendto(fd, space, (size_t)n, MSG_DONTWAIT, (struct sockaddr *)&peer, size);
  }
}

static void welcome(int listener, unsigned events) {
  for (int i = 0; i < BATCH; i++) {
    int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK);
    if (fd < 0) return;
    struct client *c = calloc(1, sizeof *c);
    if (!c) fail("calloc");
    c->fd = fd;
    watch(EPOLL_CTL_ADD, fd, c, events);
  }
}

int main(int argc, char **argv) {
  if (argc != 3) {
    fprintf(stderr, "usage: bare SERVICE BUFFER\n");
    return 2;
  }
  void (*serve)(struct client *) = !strcmp(argv[1], "echo")     ? echo
                                   : !strcmp(argv[1], "sink")   ? sink
                                   : !strcmp(argv[1], "source") ? source
                                                                : NULL;
  int datagram = !strcmp(argv[1], "datagrams"), one = 1, buffer = DATAGRAM_BUFFER;
  if (!serve && !datagram) return 2;
  room = strtoul(argv[2], NULL, 10);
  length = room < PATTERN ? PATTERN : room / PATTERN * PATTERN;
  space = malloc(room);
  content = malloc(length);
  if (!space || !content) fail("malloc");
  for (size_t i = 0; i < length; i++) content[i] = (char)(i % PATTERN);
  signal(SIGPIPE, SIG_IGN);

  struct sockaddr_in here = {.sin_family = AF_INET};
  socklen_t size = sizeof here;
  here.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  int fd = socket(AF_INET, (datagram ? SOCK_DGRAM : SOCK_STREAM) | SOCK_NONBLOCK, 0);
  if (fd < 0) fail("socket");
  if (datagram) setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &buffer, sizeof buffer);
  else setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  if (bind(fd, (struct sockaddr *)&here, sizeof here)) fail("bind");
  if (!datagram && listen(fd, BACKLOG)) fail("listen");
  if (getsockname(fd, (struct sockaddr *)&here, &size)) fail("getsockname");
  poller = epoll_create1(0);
  watch(EPOLL_CTL_ADD, fd, NULL, EPOLLIN);
  printf("%d\n", ntohs(here.sin_port));
  fflush(stdout);
  for (;;) {
    struct epoll_event events[EVENTS];
    int n = epoll_wait(poller, events, EVENTS, -1);
    for (int i = 0; i < n; i++) {
      if (events[i].data.ptr) serve(events[i].data.ptr);
      else if (datagram) datagrams(fd);
      else welcome(fd, serve == source ? EPOLLOUT : EPOLLIN);
    }
  }
}
