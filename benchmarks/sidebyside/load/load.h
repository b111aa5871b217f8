/* What the parts of the load share: its options, its clock, what it counts, and its one loop. */
#ifndef LOAD_H
#define LOAD_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct options {
  int port;
  int connections;  /* or datagram sockets */
  size_t size;      /* bytes of a message */
  int depth;        /* messages on their way over one connection */
  double warmup, seconds;
  uint64_t messages; /* over each connection; 0: as many as the seconds allow */
  int pace;          /* visitors a second */
  const char *pids;  /* of the server, with commas: whose processor time is told */
};
extern struct options options;

/* Whatever the loop waits for begins with this. */
struct watched {
  int fd;
  uint32_t events; /* what it is registered for */
  void (*ready)(struct watched *, uint32_t events);
};

struct counted {
  uint64_t messages, bytes, lost;
};
extern struct counted counted;

/* Ends with status 1; says what errno means, unless it is 0. */
_Noreturn void fail(const char *what);
/* The same for what the server did wrong. */
_Noreturn void wrong(const char *what);

uint64_t now(void); /* nanoseconds */

/* The stream that every connection carries: its byte at position p is p % PATTERN, a prime, so that no size of a
 * message hides a shift. `pattern` holds it from any position below PATTERN for CHUNK bytes on. */
enum { PATTERN = 251, CHUNK = 1 << 20 };
extern char *pattern;
extern char *incoming; /* CHUNK bytes to receive into */
void verify(uint64_t position, size_t count);
/* Receive, and compare with the stream at `position`; send `most` bytes of it. As recv and send, without waiting. Where
 * messages are big, no byte is copied here, so that the server's copies are what is measured: see loop.c. */
ssize_t receive_stream(int fd, uint64_t position, size_t most);
ssize_t send_stream(int fd, uint64_t position, size_t most);

void add(struct watched *w, uint32_t events);
void change(struct watched *w, uint32_t events);
/* One epoll_wait and what is to be done about it; a few seconds without any event end the load with status 1. */
void turn(int milliseconds);

/* A new socket that is connected to the server, or about to be. Spread: from one of many addresses of the loopback
 * network, because one address has too few ports for it. */
int dial(int type, int spread, int blocking);
void tune(int fd, int level, int option, int value);

/* Turns until the time is over, counting after the warm-up; between two turns it calls `also`, if there is one. */
void count(void (*also)(uint64_t));
/* The line of JSON; `more` is what a mode adds to it. */
void report(const char *more);

/* Nanoseconds that something took, to tell the median and the 99th percentile of. */
void sample(uint64_t nanoseconds);
/* Writes them in microseconds, as what report() takes. */
void percentiles(char *text, size_t room);

void echo(void);
void first(void);
void upload(void);
void download(void);
void visit(void);
void datagrams(void);
void idle(void);

/* Streams: connections that stay, each with some messages on its way; opened, and answered once each. */
void open_streams(int number);
/* Visitors: connect, send, wait for the answer, close. One more; `again`: another one when it has left. */
void send_visitor(int again);

#endif
