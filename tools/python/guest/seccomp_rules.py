"""Which system calls the model's code may make, and the generator of the filters that say so to the kernel.

``python -m agentkit.tools.python.guest.seccomp_rules > seccomp_filters.py`` writes the checked-in programs; a test
compares them. Calls are allowed by name. A call in none of the lists, such as one of a future kernel, does not exist
for the code (ENOSYS), so that libraries use an older one; a call denied by name is "not permitted" (EPERM).
"""

from __future__ import annotations

import struct
import textwrap
from collections.abc import Callable, Iterable, Mapping

Instruction = tuple[int, int, int, int]
"""Code, jump if true, jump if false, constant: as in ``struct sock_filter``."""

PID = 0x7FFF1D1D
"""Placeholder for the process's own number, known only when the filter is installed (`seccomp.install`)."""
ARCHITECTURES = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}

ALLOW = 0x7FFF0000
KILL = 0x80000000
EPERM, ENOTTY, ENOSYS = (0x00050000 | number for number in (1, 25, 38))

_LOAD, _AND, _IF_EQUAL, _IF_NOT_BELOW, _IF_ANY_BIT, _JUMP, _RETURN = 0x20, 0x54, 0x15, 0x35, 0x45, 0x05, 0x06

# name : number on x86_64 : number on aarch64, where it may be missing

_ALLOWED = """
read:0:63 write:1:64 pread64:17:67 pwrite64:18:68 readv:19:65 writev:20:66 preadv:295:69 pwritev:296:70
preadv2:327:286 pwritev2:328:287 creat:85:- close:3:57 close_range:436:436 stat:4:- fstat:5:80 lstat:6:-
newfstatat:262:79 statx:332:291 access:21:- faccessat:269:48 faccessat2:439:439 lseek:8:62 mmap:9:222
mprotect:10:226 munmap:11:215 mremap:25:216 madvise:28:233 mincore:27:232 brk:12:214 msync:26:227 mlock:149:228
munlock:150:229 rt_sigaction:13:134 rt_sigprocmask:14:135 rt_sigreturn:15:139 rt_sigpending:127:136
rt_sigtimedwait:128:137 rt_sigsuspend:130:133 sigaltstack:131:132 restart_syscall:219:128 pipe:22:- pipe2:293:59
dup:32:23 dup2:33:- dup3:292:24 flock:73:32 fsync:74:82 fdatasync:75:83 sync_file_range:277:84
ftruncate:77:46 fallocate:285:47 fadvise64:221:223 getdents:78:- getdents64:217:61 getcwd:79:17 chdir:80:49
fchdir:81:50 rename:82:- renameat:264:38 renameat2:316:276 mkdir:83:- mkdirat:258:34 rmdir:84:- unlink:87:-
unlinkat:263:35 link:86:- linkat:265:37 symlink:88:- symlinkat:266:36 readlink:89:- readlinkat:267:78 mknod:133:-
mknodat:259:33 umask:95:166 statfs:137:43 fstatfs:138:44 poll:7:- ppoll:271:73 select:23:- pselect6:270:72
epoll_create:213:- epoll_create1:291:20 epoll_ctl:233:21 epoll_wait:232:- epoll_pwait:281:22 epoll_pwait2:441:441
eventfd:284:- eventfd2:290:19 timerfd_create:283:85 timerfd_settime:286:86 timerfd_gettime:287:87 nanosleep:35:101
clock_nanosleep:230:115 clock_gettime:228:113 clock_getres:229:114 gettimeofday:96:169 time:201:- times:100:153
getrusage:98:165 getrlimit:97:163 getpid:39:172 getppid:110:173 gettid:186:178 getuid:102:174 geteuid:107:175
getgid:104:176 getegid:108:177 getresuid:118:148 getresgid:120:150 getgroups:115:158 getpgid:121:155 getpgrp:111:-
getsid:124:156 sched_yield:24:124 sched_getaffinity:204:123 sched_getparam:143:121 sched_getscheduler:145:120
sched_get_priority_max:146:125 sched_get_priority_min:147:126 getpriority:140:141 futex:202:98 futex_waitv:449:449
set_robust_list:273:99 get_robust_list:274:100 set_tid_address:218:96 rseq:334:293 membarrier:324:283
arch_prctl:158:- exit:60:93 exit_group:231:94 getrandom:318:278 sysinfo:99:179 uname:63:160 sendfile:40:71
copy_file_range:326:285 splice:275:76 tee:276:77 alarm:37:- getitimer:36:102 setitimer:38:103 pause:34:-
getcpu:309:168 getxattr:191:8 lgetxattr:192:9 fgetxattr:193:10 listxattr:194:11 llistxattr:195:12 flistxattr:196:13
wait4:61:260 waitid:247:95 sendto:44:206 recvfrom:45:207 sendmsg:46:211 recvmsg:47:212 shutdown:48:210
getsockname:51:204 getpeername:52:205 getsockopt:55:209 capget:125:90 timer_create:222:107 timer_settime:223:110
timer_gettime:224:108 timer_getoverrun:225:109 timer_delete:226:111 setrlimit:160:164
"""

_DENIED = """
execve:59:221 execveat:322:281 fork:57:- vfork:58:- ptrace:101:117 process_vm_readv:310:270
process_vm_writev:311:271 process_madvise:440:440 process_mrelease:448:448 kcmp:312:272 pidfd_open:434:434
pidfd_getfd:438:438 pidfd_send_signal:424:424 socket:41:198 bind:49:200 connect:42:203 listen:50:201 accept:43:202
accept4:288:242 setsockopt:54:208 sendmmsg:307:269 recvmmsg:299:243 mount:165:40 umount2:166:39 pivot_root:155:41
chroot:161:51 unshare:272:97 setns:308:268 fsopen:430:430 fsconfig:431:431 fsmount:432:432 fspick:433:433
move_mount:429:429 open_tree:428:428 mount_setattr:442:442 bpf:321:280 io_uring_setup:425:425 io_uring_enter:426:426
io_uring_register:427:427 userfaultfd:323:282 perf_event_open:298:241 add_key:248:217 request_key:249:218
keyctl:250:219 memfd_create:319:279 memfd_secret:447:447 chmod:90:- fchmod:91:52 fchmodat:268:53 fchmodat2:452:452
chown:92:- fchown:93:55 lchown:94:- fchownat:260:54 utime:132:- utimes:235:- futimesat:261:- utimensat:280:88
setxattr:188:5 lsetxattr:189:6 fsetxattr:190:7 removexattr:197:14 lremovexattr:198:15 fremovexattr:199:16
setxattrat:463:463 removexattrat:466:466 personality:135:92 truncate:76:45 setuid:105:146 setgid:106:144
setreuid:113:145 setregid:114:143 setresuid:117:147 setresgid:119:149 setgroups:116:159 setfsuid:122:151
setfsgid:123:152 setsid:112:157 setpgid:109:154 capset:126:91 seccomp:317:277 landlock_create_ruleset:444:444
landlock_add_rule:445:445 landlock_restrict_self:446:446 quotactl:179:60 syslog:103:116 swapon:167:224
swapoff:168:225 reboot:169:142 sethostname:170:161 setdomainname:171:162 init_module:175:105 finit_module:313:273
delete_module:176:106 kexec_load:246:104 kexec_file_load:320:294 acct:163:89 settimeofday:164:170
clock_settime:227:112 adjtimex:159:171 clock_adjtime:305:266 iopl:172:- ioperm:173:- modify_ldt:154:-
name_to_handle_at:303:264 open_by_handle_at:304:265 fanotify_init:300:262 fanotify_mark:301:263 inotify_init:253:-
inotify_init1:294:26 inotify_add_watch:254:27 inotify_rm_watch:255:28 shmget:29:194 shmat:30:196 shmctl:31:195
shmdt:67:197 semget:64:190 semop:65:193 semctl:66:191 semtimedop:220:192 msgget:68:186 msgsnd:69:189 msgrcv:70:188
msgctl:71:187 mq_open:240:180 mq_unlink:241:181 mq_timedsend:242:182 mq_timedreceive:243:183 mq_notify:244:184
mq_getsetattr:245:185 sched_setaffinity:203:122 sched_setparam:142:118 sched_setscheduler:144:119
sched_setattr:314:274 setpriority:141:140 ioprio_set:251:30 ioprio_get:252:31 migrate_pages:256:238
move_pages:279:239 mbind:237:235 set_mempolicy:238:237 get_mempolicy:239:236 vmsplice:278:75
remap_file_pages:216:234 lookup_dcookie:212:18 vhangup:153:58 nfsservctl:180:42 sync:162:81 syncfs:306:267
mlockall:151:230 munlockall:152:231
"""

_CHECKED = """
fcntl:72:25 clone:56:220 clone3:435:435 kill:62:129 tkill:200:130 tgkill:234:131 rt_sigqueueinfo:129:138
rt_tgsigqueueinfo:297:240 prlimit64:302:261 prctl:157:167 ioctl:16:29 socketpair:53:199 open:2:- openat:257:56
"""

_NEW_NAMESPACES = 0x7E020000
_CLONE_THREAD = 0x10000
_O_TRUNC, _O_ACCMODE = 0x200, 0x3
# PR_GET_PDEATHSIG, GET_DUMPABLE, SET_NAME, GET_NAME, GET_SECCOMP, CAPBSET_READ, GET_NO_NEW_PRIVS, SET_VMA
_PRCTL = (2, 3, 15, 16, 21, 23, 39, 0x53564D41)
# TCGETS, TIOCGWINSZ, FIONREAD, FIONBIO, FIONCLEX, FIOCLEX: used by isatty and non-blocking files
_IOCTL = (0x5401, 0x5413, 0x541B, 0x5421, 0x5450, 0x5451)
# DUPFD, GETFD, SETFD, GETFL, SETFL, GETLK, SETLK, SETLKW, GETOWN, OFD_GETLK, OFD_SETLK, OFD_SETLKW, DUPFD_CLOEXEC,
# SETPIPE_SZ, GETPIPE_SZ, GET_SEALS: not those that have the kernel send signals to others (SETOWN), nor leases
_FCNTL = (0, 1, 2, 3, 4, 5, 6, 7, 9, 36, 37, 38, 1030, 1031, 1032, 1034)


def _argument(index: int) -> Instruction:
    """Load the low half of an argument: of those checked here the kernel itself reads no more."""
    return (_LOAD, 0, 0, 16 + 8 * index)


def _one_of(index: int, values: Iterable[int], otherwise: int) -> list[Instruction]:
    found = [_argument(index)]
    for value in values:
        found += [(_IF_EQUAL, 0, 1, value), (_RETURN, 0, 0, ALLOW)]
    return [*found, (_RETURN, 0, 0, otherwise)]


def _open(flags: int) -> list[Instruction]:
    """Deny emptying a file that is opened for reading: Landlock checks that from its third version on."""
    return [
        _argument(flags),
        (_IF_ANY_BIT, 1, 0, _O_TRUNC),
        (_RETURN, 0, 0, ALLOW),
        (_AND, 0, 0, _O_ACCMODE),
        (_IF_EQUAL, 2, 0, 0),
        (_IF_EQUAL, 1, 0, 3),
        (_RETURN, 0, 0, ALLOW),
        (_RETURN, 0, 0, EPERM),
    ]


_CLONE: list[Instruction] = [  # threads, no processes
    _argument(0),
    (_IF_ANY_BIT, 0, 2, _CLONE_THREAD),
    (_IF_ANY_BIT, 1, 0, _NEW_NAMESPACES),
    (_RETURN, 0, 0, ALLOW),
    (_RETURN, 0, 0, EPERM),
]
_SOCKETPAIR: list[
    Instruction
] = [  # AF_UNIX streams only, which reach no other process; an event loop wakes itself with one
    _argument(0),
    (_IF_EQUAL, 0, 4, 1),
    _argument(1),
    (_AND, 0, 0, 0xF),
    (_IF_EQUAL, 0, 1, 1),
    (_RETURN, 0, 0, ALLOW),
    (_RETURN, 0, 0, EPERM),
]
_RULES: dict[str, list[Instruction]] = {
    "clone": _CLONE,
    "clone3": [(_RETURN, 0, 0, ENOSYS)],  # a filter cannot read its flags, which lie in memory; libc then uses clone
    "kill": _one_of(0, [PID], EPERM),
    "tkill": _one_of(0, [PID], EPERM),
    "tgkill": _one_of(0, [PID], EPERM),
    "rt_sigqueueinfo": _one_of(0, [PID], EPERM),
    "rt_tgsigqueueinfo": _one_of(0, [PID], EPERM),
    "prlimit64": _one_of(0, [0, PID], EPERM),
    "prctl": _one_of(0, _PRCTL, EPERM),
    "ioctl": _one_of(1, _IOCTL, ENOTTY),
    "fcntl": _one_of(1, _FCNTL, EPERM),
    "socketpair": _SOCKETPAIR,
    "open": _open(1),
    "openat": _open(2),
}


def numbers(table: str, architecture: str) -> dict[str, int]:
    """Return the calls of a table with their numbers on this architecture."""
    column = 1 + list(ARCHITECTURES).index(architecture)
    rows = [entry.split(":") for entry in table.split()]
    return {row[0]: int(row[column]) for row in rows if row[column] != "-"}


def decisions(architecture: str) -> dict[int, list[Instruction]]:
    """Return the rule for each listed call, by number."""
    found = {number: [(_RETURN, 0, 0, ALLOW)] for number in numbers(_ALLOWED, architecture).values()}
    found |= {number: [(_RETURN, 0, 0, EPERM)] for number in numbers(_DENIED, architecture).values()}
    return found | {number: _RULES[name] for name, number in numbers(_CHECKED, architecture).items()}


def program(architecture: str) -> list[Instruction]:
    """Return the filter: it checks the architecture, finds the number by halving, then checks arguments if they matter.

    Another architecture (32-bit calls on x86) ends the process: its numbers mean other calls. Calls with the x32 bit
    have numbers above all those listed, which do not exist.
    """
    head: list[Instruction] = [
        (_LOAD, 0, 0, 4),
        (_IF_EQUAL, 1, 0, ARCHITECTURES[architecture]),
        (_RETURN, 0, 0, KILL),
        (_LOAD, 0, 0, 0),
    ]
    return head + _halved(_segments(decisions(architecture)))


def _segments(found: Mapping[int, list[Instruction]]) -> list[tuple[int, list[Instruction]]]:
    """Return each run of calls with the same rule: its first number and the rule."""
    unknown: list[Instruction] = [(_RETURN, 0, 0, ENOSYS)]
    segments: list[tuple[int, list[Instruction]]] = []
    for number in range(max(found) + 2):
        rule = found.get(number, unknown)
        if not segments or segments[-1][1] != rule:
            segments.append((number, rule))
    return segments


def _halved(segments: list[tuple[int, list[Instruction]]]) -> list[Instruction]:
    if len(segments) == 1:
        return segments[0][1]
    middle = len(segments) // 2
    below, above = _halved(segments[:middle]), _halved(segments[middle:])
    # A conditional jump reaches 255 instructions only.
    return [(_IF_NOT_BELOW, 0, 1, segments[middle][0]), (_JUMP, 0, 0, len(below)), *below, *above]


def pack(instructions: Iterable[Instruction]) -> bytes:
    """Return the program as the kernel of a little-endian machine reads it."""
    return b"".join(struct.pack("<HBBI", *instruction) for instruction in instructions)


def source() -> str:
    """Return the text of seccomp_filters.py."""
    parts = [
        '"""The seccomp filters, made by seccomp_rules.py; do not edit.\n\n'
        "Standard library only and nothing of agentkit: it is loaded inside the walls.\n"
        '"""\n\nfrom __future__ import annotations\n',
        f"PID = 0x{PID:X}",
        "FILTERS = {",
    ]
    for architecture in ARCHITECTURES:
        lines = textwrap.wrap(pack(program(architecture)).hex(), 96)
        parts += [f'    "{architecture}": (', *(f'        "{line}"' for line in lines), "    ),"]
    return "\n".join([*parts, "}", ""])


if __name__ == "__main__":
    write: Callable[[str], object] = print
    write(source().rstrip("\n"))
