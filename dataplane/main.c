/*
 * gatehouse-dataplane — the three gates on one listener.
 *
 * The functions are called in the order in which the process starts.
 */
#include <signal.h>

#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/base/secret.h"
#include "common/upstream/token_source.h"
#include "dataplane/dataplane_settings.h"
#include "dataplane/process.h"
#include "dataplane/signals.h"

static void on_signal(void *arg, int number)
{
    if (number == SIGHUP)
        process_reload(arg);
    else
        process_end(arg);
}

static int serve(const struct settings *s)
{
    struct loop *loop;
    struct process *process;
    struct signals *signals;
    if (loop_new(&loop))
        return 1;
    if (process_start(s, loop, &process)) {
        loop_free(loop);
        return 1;
    }
    if (signals_open(loop, on_signal, process, &signals) == ERR_OK) {
        loop_run(loop);
        signals_close(&signals);
    }
    int code = process_free(&process);
    loop_free(loop);
    return code;
}

int main(int argc, char **argv)
{
    struct settings settings = {0};
    bool want_help = false;
    if (settings_read(argc, argv, &settings, &want_help))
        return 2;
    if (want_help || settings.check)
        return 0;
    log_setup("gatehouse-dataplane", settings.log_level);
    mem_keep_freed();
    secret_protect_process();
    signals_block();
    token_source_set_folder(settings.token_folder);
    return serve(&settings);
}
