/* mock_worker_command.c: `bridgepool mock-worker` in the table of commands. */
#include "cli.h"
#include "commands.h"
#include "mock_worker.h"

const struct cli_command command_mock_worker = {
	.name = "mock-worker",
	.run = mock_worker_main,
	.summary = "Be a worker without Python that can be slow, hang, crash and lie",
	.operands = "",
	.more = "For tests of a configuration and of clients. `bridgepool mock-worker --help` lists its faults.",
};
