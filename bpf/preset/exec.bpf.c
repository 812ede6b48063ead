// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * `exec`: programs that somebody who came into the container from outside starts at a terminal. Without the terminal
 * it would also stop the probes that an orchestrator runs in the container.
 */
#include "entry.h"
#include "preset.h"

SEC("lsm/bprm_check_security")
int BPF_PROG(preset_exec, struct linux_binprm *bprm, int ret)
{
	struct subject s = {};
	if (ret)
		return ret;
	if (!entered(&s) || !watched(&s, PRESET_EXEC) || !s.label->session || !has_terminal(s.task))
		return 0;
	return judge_file(&s, PRESET_EXEC, OP_EXEC_PRESET, BPF_CORE_READ(bprm, file));
}
