/* What elfutils' headers need of <argp.h> to compile against musl, which has no argp.
 *
 * libelf, the only part of elfutils in our binaries, parses no command lines; its configure script
 * and shared headers merely expect the types to exist. Nothing here is ever called. */
#ifndef MUSL_STUB_ARGP_H
#define MUSL_STUB_ARGP_H

#include <errno.h>
#include <stdio.h>

typedef int error_t;

struct argp_state;
struct argp;

typedef error_t (*argp_parser_t)(int key, char *argument, struct argp_state *state);

struct argp_option {
	const char *name;
	int key;
	const char *arg;
	int flags;
	const char *doc;
	int group;
};

struct argp_child {
	const struct argp *argp;
	int flags;
	const char *header;
	int group;
};

struct argp {
	const struct argp_option *options;
	argp_parser_t parser;
	const char *args_doc;
	const char *doc;
	const struct argp_child *children;
	char *(*help_filter)(int key, const char *text, void *input);
	const char *argp_domain;
};

struct argp_state {
	const struct argp *root_argp;
	int argc;
	char **argv;
	int next;
	unsigned flags;
	unsigned arg_num;
	void *input;
	void **child_inputs;
	void *hook;
	char *name;
	FILE *err_stream;
	FILE *out_stream;
	void *pstate;
};

#define ARGP_ERR_UNKNOWN E2BIG
#define ARGP_HELP_SEE 0
#define OPTION_ARG_OPTIONAL 1

static inline void argp_help(const struct argp *argp, FILE *stream, unsigned flags, char *name)
{
	(void)argp, (void)stream, (void)flags, (void)name;
}

#endif
