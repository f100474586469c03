/* mock_worker_main.c: `bridgepool mock-worker` as a program of its own, for tests and benchmarks that need no more than that. */
#include "mock_worker.h"

int main(int argc, char **argv)
{
	return mock_worker_main(argc, argv);
}
