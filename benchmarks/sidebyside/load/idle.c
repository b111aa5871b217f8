/* Connections that have nothing to say any more. */
#define _GNU_SOURCE
#include "load.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>

enum { GROUP = 200 /* so many wait to be accepted at most */ };

/* Opens some. Each sends one message, and so is accepted and has seen all of its handlers when that is answered. */
static void open_idle(long number) {
  static int sockets[GROUP];
  for (long i = 0; i < number; i++) {
    sockets[i] = dial(SOCK_STREAM, 1, 1);
    if (send(sockets[i], pattern, options.size, MSG_NOSIGNAL) != (ssize_t)options.size) fail("send");
  }
  for (long i = 0; i < number; i++) {
    for (size_t received = 0; received < options.size;) {
      ssize_t n = recv(sockets[i], incoming, CHUNK, 0);
      if (n < 0) fail("recv");
      if (!n) wrong("the server has closed a connection");
      verify(received, (size_t)n);
      received += (size_t)n;
    }
  }
}

void idle(void) {
  char line[64];
  long open = 0;
  while (fgets(line, sizeof line, stdin)) {
    for (long wanted = atol(line); open < wanted;) {
      long number = wanted - open < GROUP ? wanted - open : GROUP;
      open_idle(number);
      open += number;
    }
    printf("{\"connections\": %ld}\n", open);
    fflush(stdout);
  }
}
