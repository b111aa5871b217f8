/* Connections that stay: echo, and bulk in one direction. */
#define _GNU_SOURCE
#include "load.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>

enum { GROUP = 200 /* so many wait to be accepted at most */, SPREAD = 1000 };

struct stream {
  struct watched watched;
  uint64_t due;            /* bytes that are to be sent, from the beginning of the stream on */
  uint64_t sent, received; /* bytes */
  uint64_t start;          /* where in the pattern it begins: each differs from its neighbours */
  uint64_t whole;          /* messages that came back */
};

static struct stream *streams;
static uint64_t answered; /* streams whose first message came back */
static uint64_t complete; /* streams that all their messages came back over */
static uint64_t last;     /* a stream's last message, where they are counted */
static int holding;       /* each stream sends one message only, until all are open */

static int open_stream(int spread) {
  int fd = dial(SOCK_STREAM, spread, 1);
  if (fcntl(fd, F_SETFL, O_NONBLOCK)) fail("fcntl");
  return fd;
}

static void send_due(struct stream *s) {
  while (s->sent < s->due) {
    uint64_t left = s->due - s->sent;
    size_t most = left < CHUNK ? (size_t)left : CHUNK;
    ssize_t n = send_stream(s->watched.fd, s->start + s->sent, most);
    if (n < 0 && errno != EAGAIN) fail("send");
    if (n > 0) s->sent += (uint64_t)n;
    if (n < (ssize_t)most) break;
  }
  change(&s->watched, EPOLLIN | (s->sent < s->due ? EPOLLOUT : 0));
}

static void receive(struct stream *s) {
  ssize_t n = receive_stream(s->watched.fd, s->start + s->received, CHUNK);
  if (n < 0 && errno == EAGAIN) return;
  if (n < 0) fail("recv");
  if (!n) wrong("the server has closed a connection");
  if (s->received + (uint64_t)n > s->sent) wrong("more came back than was sent");
  s->received += (uint64_t)n;
  counted.bytes += (uint64_t)n;
  while (s->received >= (s->whole + 1) * options.size) {
    if (!s->whole++) answered++;
    counted.messages++;
    if (holding) continue;
    if (!last || s->due < last * options.size) s->due += options.size;
    else if (s->whole == last) complete++;
  }
  send_due(s);
}

static void stream_ready(struct watched *w, uint32_t events) {
  struct stream *s = (struct stream *)w;
  if (events & ~(uint32_t)EPOLLOUT) receive(s);
  else send_due(s);
}

void open_streams(int number) {
  streams = calloc((size_t)number, sizeof *streams);
  if (!streams) fail("calloc");
  holding = 1;
  for (int i = 0; i < number; i++) {
    struct stream *s = &streams[i];
    s->watched.fd = open_stream(number > SPREAD);
    s->watched.ready = stream_ready;
    s->start = (uint64_t)i % PATTERN;
    s->due = options.size;
    add(&s->watched, EPOLLIN);
    send_due(s);
    if ((i + 1) % GROUP == 0 || i + 1 == number)
      while (answered < (uint64_t)i + 1) turn(100);
  }
  holding = 0;
}

static void start_streams(void) {
  open_streams(options.connections);
  last = options.messages ? options.messages + 1 : 0; /* the first one is not counted */
  for (int i = 0; i < options.connections; i++) {
    uint64_t depth = (uint64_t)options.depth;
    if (options.messages && depth > options.messages) depth = options.messages;
    streams[i].due += depth * options.size;
    send_due(&streams[i]);
  }
}

void echo(void) {
  start_streams();
  if (options.messages) {
    counted = (struct counted){0};
    while (complete < (uint64_t)options.connections) turn(100);
  } else {
    count(NULL);
  }
  report("");
}

static void visitors(uint64_t t) {
  static uint64_t begin, sent;
  if (!begin) begin = t;
  /* Late ones are caught up with, a few at a time. */
  for (int i = 0; i < 8 && sent * 1000000000u < (t - begin) * (uint64_t)options.pace; i++, sent++) send_visitor(0);
}

void first(void) {
  char text[200];
  start_streams();
  count(visitors);
  percentiles(text, sizeof text);
  report(text);
}

/* -- bulk: the socket's buffers are full, or empty, all the time */

static void upload_ready(struct watched *w, uint32_t events) {
  struct stream *s = (struct stream *)w;
  ssize_t n = send_stream(w->fd, s->sent, options.size);
  (void)events;
  if (n < 0 && errno != EAGAIN) fail("send");
  if (n <= 0) return;
  s->sent += (uint64_t)n;
  counted.bytes += (uint64_t)n;
}

static void download_ready(struct watched *w, uint32_t events) {
  struct stream *s = (struct stream *)w;
  ssize_t n = receive_stream(w->fd, s->received, options.size);
  (void)events;
  if (n < 0 && errno == EAGAIN) return;
  if (n < 0) fail("recv");
  if (!n) wrong("the server has closed a connection");
  s->received += (uint64_t)n;
  counted.bytes += (uint64_t)n;
}

static void bulk(void (*ready)(struct watched *, uint32_t), uint32_t events) {
  streams = calloc((size_t)options.connections, sizeof *streams);
  if (!streams) fail("calloc");
  for (int i = 0; i < options.connections; i++) {
    streams[i].watched.fd = open_stream(0);
    streams[i].watched.ready = ready;
    add(&streams[i].watched, events);
  }
  count(NULL);
  counted.messages = counted.bytes / options.size;
  report("");
}

void upload(void) { bulk(upload_ready, EPOLLOUT); }
void download(void) { bulk(download_ready, EPOLLIN); }
