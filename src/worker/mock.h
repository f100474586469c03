/* mock.h: the `mock` kind of adapter: workers inside the daemon, which do what a script says. For tests without processes.
 *
 * A script is a list of key=value with semicolons, for example "delay=5ms;crash_every=100;hang=slow". Without one a worker starts
 * at once, answers pings and all that is asked of it: programs as mock_programs.h has them, "sleep" {ms} after so long, "stream"
 * {parts, ms} with so many parts, each after so long, and like any other request at its end with {"echo": its args, "worker":
 * "pool/slot.generation"}.
 *
 *   start_delay=MS      until it is started          start_fail_every=N  each Nth start fails
 *   delay=MS            until a request is answered  jitter=MS           up to so much more, from a seeded generator
 *   version=TEXT        said with the first answer   concurrency=N       said with the first answer
 *   sessions=1          it wants open_session and cleanup_session
 *   crash_every=N       each Nth request kills it    crash=COMMAND       so does this command
 *   hang_every=N        is never answered            hang=COMMAND
 *   error_every=N       gets an error, retriable     error=COMMAND
 *   garbage_every=N     gets an answer that is none  garbage=COMMAND
 *   unknown_id_every=N   gets an answer to what was never asked      unknown_id=COMMAND
 *   ignore_close=1, ignore_term=1                    it does not end on these orders
 *
 * MS is a number of milliseconds, also written "5ms". N counts over all workers of the adapter. */
#ifndef WORKER_MOCK_H
#define WORKER_MOCK_H

#include "kind.h"

#endif
