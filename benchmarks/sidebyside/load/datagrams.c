/* UDP: one message on its way from each of some sockets. */
#define _GNU_SOURCE
#include "load.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

enum { SILENCE = 200, SWEEP = 50 /* milliseconds */, TOLERATED = 100 /* lost ones, and one in a hundred */ };

struct asker {
  struct watched watched;
  uint64_t number; /* of the message that is on its way: what it begins with */
  uint64_t at;     /* when it was sent */
};

static struct asker *askers;
static char *outgoing;
static int complete; /* sockets that all their messages came back to */

static void ask(struct asker *a) {
  a->number++;
  a->at = now();
  memcpy(outgoing, &a->number, sizeof a->number);
  if (send(a->watched.fd, outgoing, options.size, MSG_DONTWAIT) < 0 && errno != EAGAIN) fail("send of a datagram");
}

static void asker_ready(struct watched *w, uint32_t events) {
  struct asker *a = (struct asker *)w;
  ssize_t n = recv(w->fd, incoming, CHUNK, MSG_DONTWAIT);
  uint64_t number;
  (void)events;
  if (n < 0 && errno == EAGAIN) return;
  if (n < 0) fail("recv of a datagram");
  if ((size_t)n != options.size) wrong("a datagram came back in another size");
  memcpy(&number, incoming, sizeof number);
  memcpy(outgoing, &number, sizeof number);
  if (number > a->number || memcmp(incoming, outgoing, options.size)) wrong("a datagram came back with other bytes");
  if (number < a->number) return; /* it was given up already */
  counted.messages++;
  counted.bytes += options.size;
  if (options.messages && a->number == options.messages) {
    a->at = UINT64_MAX;
    complete++;
  } else {
    ask(a);
  }
}

static void sweep(uint64_t t) {
  static uint64_t swept;
  if (t - swept < SWEEP * 1000000ull) return;
  swept = t;
  for (int i = 0; i < options.connections; i++) {
    if (askers[i].at > t || t - askers[i].at < SILENCE * 1000000ull) continue;
    counted.lost++;
    ask(&askers[i]);
  }
  if (counted.lost > TOLERATED + counted.messages / 100) wrong("too many datagrams were lost");
}

void datagrams(void) {
  if (options.size < sizeof(uint64_t) || options.size > 65507) wrong("no size of a datagram");
  askers = calloc((size_t)options.connections, sizeof *askers);
  outgoing = malloc(options.size);
  if (!askers || !outgoing) fail("malloc");
  memcpy(outgoing, pattern, options.size);
  for (int i = 0; i < options.connections; i++) {
    askers[i].watched.fd = dial(SOCK_DGRAM, 0, 0);
    askers[i].watched.ready = asker_ready;
    add(&askers[i].watched, EPOLLIN);
    ask(&askers[i]);
  }
  if (options.messages) {
    while (complete < options.connections) {
      turn(1);
      sweep(now());
    }
  } else {
    count(sweep);
  }
  report("");
}
