/* Connections that come, ask once, and go. */
#define _GNU_SOURCE
#include "load.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { MOST = 2000 /* visitors at a time */ };

struct visitor {
  struct watched watched;
  uint64_t came; /* when */
  size_t sent, received;
  int again;
  struct visitor *next; /* of those that have left */
};

static struct visitor *left;
static int present;
static uint64_t allowed; /* visits, where they are counted */
static uint64_t begun;

static void leave(struct visitor *v) {
  int again = v->again;
  if (close(v->watched.fd)) fail("close"); /* which takes it out of the poller */
  v->next = left;
  left = v;
  present--;
  if (again && (!allowed || begun < allowed)) send_visitor(again);
}

static void ask(struct visitor *v) {
  ssize_t n = send(v->watched.fd, pattern + v->sent, options.size - v->sent, MSG_DONTWAIT | MSG_NOSIGNAL);
  if (n < 0 && errno != EAGAIN) fail("send of a new connection");
  if (n > 0) v->sent += (size_t)n;
  change(&v->watched, v->sent < options.size ? EPOLLIN | EPOLLOUT : EPOLLIN);
}

static void hear(struct visitor *v) {
  ssize_t n = recv(v->watched.fd, incoming, CHUNK, MSG_DONTWAIT);
  if (n < 0 && errno == EAGAIN) return;
  if (n < 0) fail("recv of a new connection");
  if (!n) wrong("the server has closed a new connection");
  if (v->received + (size_t)n > v->sent) wrong("more came back than was sent");
  if (!v->received) sample(now() - v->came);
  verify(v->received, (size_t)n);
  v->received += (size_t)n;
  if (v->received < options.size) return;
  if (v->again) {
    counted.messages++;
    counted.bytes += options.size;
  }
  leave(v);
}

static void visitor_ready(struct watched *w, uint32_t events) {
  struct visitor *v = (struct visitor *)w;
  if (events & ~(uint32_t)EPOLLOUT) hear(v);
  else ask(v);
}

void send_visitor(int again) {
  struct visitor *v = left;
  if (v) left = v->next;
  else if (present == MOST || !(v = malloc(sizeof *v))) wrong("the server is too slow for its new connections");
  memset(v, 0, sizeof *v);
  present++;
  begun++;
  v->again = again;
  v->came = now();
  v->watched.ready = visitor_ready;
  v->watched.fd = dial(SOCK_STREAM, 1, 0);
  /* Over the loopback device the connection is there when connect returns, as a rule. */
  add(&v->watched, EPOLLIN | EPOLLOUT);
  ask(v);
}

void visit(void) {
  char text[200];
  allowed = options.messages * (uint64_t)options.connections;
  for (int i = 0; i < options.connections; i++) send_visitor(1);
  if (options.messages) {
    while (present) turn(100);
  } else {
    count(NULL);
  }
  percentiles(text, sizeof text);
  report(text);
}
