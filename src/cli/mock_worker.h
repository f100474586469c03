/* mock_worker.h: a worker without Python, on stdin and stdout, that can be told to be slow, to hang, to crash and to lie. */
#ifndef CLI_MOCK_WORKER_H
#define CLI_MOCK_WORKER_H

int mock_worker_main(int argc, char **argv); /* returns the exit code */

#endif
