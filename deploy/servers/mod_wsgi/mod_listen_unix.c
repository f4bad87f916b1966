/*
 * ListenUnix PATH BACKLOG: lets Apache httpd 2.4 accept connections on a Unix socket.
 *
 * httpd listens on TCP only, although APR and httpd's accept functions support Unix sockets. This module opens the
 * socket and adds it to the list of listeners before the MPM reads that list. So Nginx reaches all three servers over a
 * Unix socket, no further port is open, and no relay process is needed.
 *
 * The socket is bound with system calls instead of apr_socket_bind(). APR removes the file of a socket that it has
 * bound when any process that inherited the socket closes it, which happens with every child that exits.
 */
#include "httpd.h"
#include "http_config.h"
#include "http_log.h"
#include "ap_listen.h"
#include "unixd.h"
#include "apr_portable.h"
#include "apr_strings.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

extern module AP_MODULE_DECLARE_DATA listen_unix_module;

static const char *socket_path;
static int socket_backlog;

static const char *set_socket(cmd_parms *cmd, void *unused, const char *path, const char *backlog)
{
    struct sockaddr_un address;

    if (path[0] != '/' || strlen(path) >= sizeof(address.sun_path)) {
        return apr_psprintf(cmd->pool, "ListenUnix needs an absolute path of less than %d bytes",
                            (int)sizeof(address.sun_path));
    }
    if ((socket_backlog = atoi(backlog)) < 1) {
        return "ListenUnix needs a backlog of at least 1 after the path";
    }
    socket_path = apr_pstrdup(cmd->pool, path);
    return NULL;
}

/* Opens the socket with mode 0666: its folder controls the access. Returns -1 and sets errno on failure. */
static int open_socket(struct sockaddr_un *address)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    unlink(socket_path);
    if (fd < 0 || bind(fd, (struct sockaddr *)address, sizeof(*address)) || chmod(socket_path, 0666)
        || listen(fd, socket_backlog)) {
        return -1;
    }
    return fd;
}

static int add_listener(apr_pool_t *pconf, apr_pool_t *plog, apr_pool_t *ptemp, server_rec *s)
{
    /* httpd reads its configuration twice, and closes the listeners of the first pass after the second one. They must
     * outlive the configuration pool, so they belong to the process pool. */
    apr_pool_t *pool = s->process->pool;
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    apr_os_sock_info_t info = {.family = APR_UNIX, .type = SOCK_STREAM, .local = (struct sockaddr *)&address};
    ap_listen_rec *listener = apr_pcalloc(pool, sizeof(*listener));
    int fd;

    if (!socket_path) {
        return OK;
    }
    apr_cpystrn(address.sun_path, socket_path, sizeof(address.sun_path));
    if ((fd = open_socket(&address)) < 0) {
        ap_log_error(APLOG_MARK, APLOG_CRIT, errno, s, "ListenUnix: cannot listen on %s", socket_path);
        return HTTP_INTERNAL_SERVER_ERROR;
    }
    info.os_sock = &fd;
    apr_os_sock_make(&listener->sd, &info, pool);
    apr_socket_addr_get(&listener->bind_addr, APR_LOCAL, listener->sd);
    listener->accept_func = ap_unixd_accept;
    listener->protocol = "http";
    listener->active = 1;
    listener->next = ap_listeners;
    ap_listeners = listener;
    return OK;
}

static void register_hooks(apr_pool_t *pool)
{
    static const char *const mpms[] = {"event.c", "worker.c", "prefork.c", NULL};

    ap_hook_open_logs(add_listener, NULL, mpms, APR_HOOK_REALLY_FIRST);
}

static const command_rec commands[] = {
    AP_INIT_TAKE2("ListenUnix", set_socket, NULL, RSRC_CONF, "path of the Unix socket, and its backlog"),
    {NULL}
};

AP_DECLARE_MODULE(listen_unix) = {
    STANDARD20_MODULE_STUFF, NULL, NULL, NULL, NULL, commands, register_hooks
};
