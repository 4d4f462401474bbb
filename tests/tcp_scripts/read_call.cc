// Socket calls and assertions as scripts write them, with Linux's constants by name.
#include <errno.h>
#include <linux/sockios.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "tests/tcp_scripts/script.h"

namespace sluice::scripts {

namespace {

struct Name {
  std::string_view name;
  std::int64_t value;
};
#define NAME(constant) {#constant, constant}
constexpr Name constants[] = {NAME(SOL_SOCKET),       {"SOL_TCP", IPPROTO_TCP},
                              NAME(IPPROTO_TCP),      NAME(AF_INET),
                              NAME(AF_INET6),         NAME(SOCK_STREAM),
                              NAME(SO_ERROR),         NAME(SO_LINGER),
                              NAME(SO_KEEPALIVE),     NAME(SO_RCVBUF),
                              NAME(SO_SNDBUF),        NAME(SO_REUSEADDR),
                              NAME(SO_OOBINLINE),     NAME(SO_RCVLOWAT),
                              NAME(TCP_NODELAY),      NAME(TCP_MAXSEG),
                              NAME(TCP_CORK),         NAME(TCP_KEEPIDLE),
                              NAME(TCP_KEEPINTVL),    NAME(TCP_KEEPCNT),
                              NAME(TCP_SYNCNT),       NAME(TCP_LINGER2),
                              NAME(TCP_DEFER_ACCEPT), NAME(TCP_WINDOW_CLAMP),
                              NAME(TCP_QUICKACK),     NAME(TCP_USER_TIMEOUT),
                              NAME(SHUT_RD),          NAME(SHUT_WR),
                              NAME(SHUT_RDWR),        NAME(MSG_OOB),
                              NAME(MSG_PEEK),         NAME(MSG_DONTWAIT),
                              NAME(MSG_MORE),         NAME(MSG_NOSIGNAL),
                              NAME(MSG_EOR),          NAME(TCP_NOTSENT_LOWAT),
                              NAME(MSG_TRUNC),        NAME(POLLIN),
                              NAME(POLLOUT),          NAME(POLLPRI),
                              NAME(POLLERR),          NAME(POLLHUP),
                              NAME(POLLRDHUP),        NAME(SIOCINQ),
                              NAME(SIOCOUTQ),         {"TCP_ESTABLISHED", 1},
                              {"TCP_SYN_SENT", 2},    {"TCP_SYN_RECV", 3},
                              {"TCP_FIN_WAIT1", 4},   {"TCP_FIN_WAIT2", 5},
                              {"TCP_TIME_WAIT", 6},   {"TCP_CLOSE", 7},
                              {"TCP_CLOSE_WAIT", 8},  {"TCP_LAST_ACK", 9},
                              {"TCP_LISTEN", 10},     {"TCP_CLOSING", 11},
                              {"TCP_CA_Open", 0},     {"TCP_CA_Disorder", 1},
                              {"TCP_CA_CWR", 2},      {"TCP_CA_Recovery", 3},
                              {"TCP_CA_Loss", 4},     {"TCPI_OPT_TIMESTAMPS", 1},
                              {"TCPI_OPT_SACK", 2},   {"TCPI_OPT_WSCALE", 4},
                              {"TCPI_OPT_ECN", 8}};
constexpr Name errors[] = {
    NAME(EAGAIN),      NAME(EINPROGRESS),  NAME(ECONNREFUSED),  NAME(ECONNRESET),  NAME(ETIMEDOUT),    NAME(EPIPE),
    NAME(ENOTCONN),    NAME(EHOSTUNREACH), NAME(ENETUNREACH),   NAME(EINVAL),      NAME(EISCONN),      NAME(EALREADY),
    NAME(EBADF),       NAME(EADDRINUSE),   NAME(EADDRNOTAVAIL), NAME(EACCES),      NAME(ECONNABORTED), NAME(EPROTO),
    NAME(ENOPROTOOPT), NAME(EMSGSIZE),     NAME(EOPNOTSUPP),    NAME(EDESTADDRREQ)};
#undef NAME

// A number, a constant, or several of them joined by |.
bool value(Text& text, std::int64_t& out) {
  out = 0;
  do {
    std::int64_t one = 0;
    text.skip_space();
    if (!text.left.empty() && (text.left[0] == '-' || (text.left[0] >= '0' && text.left[0] <= '9'))) {
      if (!text.number(one)) return false;
    } else {
      const std::string name(text.word());
      bool known = false;
      for (const Name& constant : constants)
        if (name == constant.name) one = constant.value, known = true;
      for (const Name& error : errors)
        if (name == error.name) one = error.value, known = true;
      if (!known) return text.fail("no constant '" + name + "'");
    }
    out |= one;
  } while (text.take("|"));
  return true;
}

bool argument(Text& text, Call& out) {
  if (text.take("...")) return true;
  const bool list = text.take("[") || text.take("{");
  if (!list) {
    std::int64_t number = 0;
    if (!value(text, number)) return false;
    out.arguments.push_back(number);
    return true;
  }
  do {
    std::int64_t number = 0;
    text.skip_space();
    const Text before = text;  // a field may have its name before it: {onoff=1, linger=0}
    if (text.word().empty() || !text.take("=")) text = before;
    if (!value(text, number)) return false;
    out.list.push_back(number);
  } while (text.take(","));
  return text.take("]") || text.take("}") || text.fail("a list ends with ] or }");
}

}  // namespace

bool read_call(Text& text, Call& out) {
  text.skip_space();
  out.name = text.word();
  if (!text.take("(")) return text.fail("no event begins like this");
  if (!text.take(")")) {
    do {
      if (!argument(text, out)) return false;
    } while (text.take(","));
    if (!text.take(")")) return text.fail("a call ends with )");
  }
  if (!text.take("=")) return text.fail("a call has = RESULT");
  if (text.take("*")) return out.any_result = true;
  if (!value(text, out.result)) return false;
  text.skip_space();
  if (out.result == -1) {
    const std::string name(text.word());
    for (const Name& error : errors)
      if (name == error.name) out.error = static_cast<int>(error.value);
    if (out.error == 0) return text.fail("-1 needs the name of an error");
  }
  return true;
}

bool read_assert(Text& text, Assert& out) {
  do {
    text.skip_space();
    if (text.take("}%")) return !out.terms.empty();
    text.take("assert");
    text.skip_space();
    Assert::Term term;
    term.name = text.word();
    for (const std::string_view op : {"==", "!=", "<=", ">=", "<", ">", "&"})
      if (term.op.empty() && text.take(op)) term.op = op;
    if (term.op.empty() || !value(text, term.value)) return text.fail("an assertion is NAME OP VALUE");
    out.terms.push_back(term);
  } while (text.take(";") || text.take(","));
  return text.take("}%") || text.fail("assertions end with }%");
}

}  // namespace sluice::scripts
