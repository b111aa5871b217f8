/* The load: what the servers of this benchmark are loaded with, and what is counted meanwhile.
 *
 *     cc -O2 -o load *.c
 *     ./load MODE -p PORT [-c CONNECTIONS] [-s SIZE] [-d DEPTH] [-w WARMUP] [-t SECONDS] [-n MESSAGES] [-r PACE] [-P PIDS]
 *
 *     echo       DEPTH messages of SIZE bytes on their way over each connection; with -n it ends after MESSAGES over each
 *     first      the same, and PACE new connections a second: how long each waits for its first byte
 *     upload     sends all that the server takes
 *     download   receives all that the server sends
 *     visit      connects, sends SIZE bytes, waits for them, closes: CONNECTIONS at a time; with -n each MESSAGES times
 *     datagrams  over UDP: one message on its way from each of some sockets; a lost one is sent again;
 *                with -n it ends after MESSAGES from each
 *     idle       reads numbers of connections, a line each, opens so many and says so; holds them until its input ends
 *
 * After WARMUP seconds it counts for SECONDS and prints one line of JSON: the messages that came back whole, the bytes,
 * the datagrams lost, the seconds this took, the processor time in seconds that the server (PIDS) and the load used
 * meanwhile, how often the load waited, and, where a mode has them, percentiles in microseconds.
 *
 * Every byte that comes back is compared with what was sent; of messages of 16 KiB and more all of the warm-up, and
 * afterwards one receive in sixteen. A lost connection, a wrong byte, or ten seconds without any answer end it with
 * status 1. It talks to 127.0.0.1 only, in one thread, with epoll: it must never be what limits a server written in
 * Python, and a loop in C has that in hand.
 */
#include "load.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { SPARE = 120 /* seconds, to connect and to end */ };

struct options options = {.connections = 1, .size = 64, .depth = 1, .warmup = 0.2, .seconds = 0.6, .pace = 500};

static const struct {
  const char *name;
  void (*run)(void);
} modes[] = {
    {"echo", echo},   {"first", first},         {"upload", upload}, {"download", download},
    {"visit", visit}, {"datagrams", datagrams}, {"idle", idle},
};

static void usage(void) {
  fprintf(stderr, "usage: load MODE -p PORT [-c CONNECTIONS] [-s SIZE] [-d DEPTH] [-w WARMUP] [-t SECONDS] "
                  "[-n MESSAGES] [-r PACE] [-P PIDS]\n");
  exit(2);
}

int main(int argc, char **argv) {
  if (argc < 2) usage();
  for (int o; (o = getopt(argc - 1, argv + 1, "p:c:s:d:w:t:n:r:P:")) != -1;) {
    switch (o) {
    case 'p': options.port = atoi(optarg); break;
    case 'c': options.connections = atoi(optarg); break;
    case 's': options.size = strtoul(optarg, NULL, 10); break;
    case 'd': options.depth = atoi(optarg); break;
    case 'w': options.warmup = atof(optarg); break;
    case 't': options.seconds = atof(optarg); break;
    case 'n': options.messages = strtoull(optarg, NULL, 10); break;
    case 'r': options.pace = atoi(optarg); break;
    case 'P': options.pids = optarg; break;
    default: usage();
    }
  }
  if (!options.port || options.connections < 1 || !options.size || options.size > CHUNK || options.depth < 1 ||
      options.pace < 1)
    usage();
  pattern = malloc(CHUNK + PATTERN);
  incoming = malloc(CHUNK);
  if (!pattern || !incoming) fail("malloc");
  for (int i = 0; i < CHUNK + PATTERN; i++) pattern[i] = (char)(i % PATTERN);
  signal(SIGPIPE, SIG_IGN);
  for (size_t i = 0; i < sizeof modes / sizeof *modes; i++) {
    if (strcmp(argv[1], modes[i].name)) continue;
    /* An idle load is held by whoever has started it. */
    if (modes[i].run != idle) alarm((unsigned)(options.warmup + options.seconds) + SPARE);
    modes[i].run();
    return 0;
  }
  usage();
}
