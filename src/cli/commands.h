/* commands.h: the subcommands, each in a file of its own. */
#ifndef CLI_COMMANDS_H
#define CLI_COMMANDS_H

struct cli_command;

extern const struct cli_command command_run, command_demo, command_dev, command_check, command_submit, command_tail,
	command_topics, command_watch, command_reload, command_mock_worker, command_broker, command_version, command_help,
	command_man;

#endif
