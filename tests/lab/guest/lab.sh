#!/bin/bash
# The functions that scenarios are written with; docs/lab.md tells their meaning.
# Sourced by init and by the interactive shell.

OUT=/lab/out
SCENARIO=$OUT/scenario
STATE=/lab/state
SERVER=203.0.113.2
TUNNEL_SERVER=10.10.0.1
AGENT=$STATE/pptpscope

# shellcheck source=kernel-call.sh
. /lab/guest/kernel-call.sh
# shellcheck source=radius.sh
. /lab/guest/radius.sh

# --- talking to the host -------------------------------------------------------------------------

# tell KIND TEXT: one line for the host.
tell() {
	echo "$1 ${*:2}" >/dev/ttyS1
}

# step TEXT: what happens now.
step() {
	tell step "$*"
}

# say TEXT: a heading for whoever watches the demo.
say() {
	tell say "$*"
}

# mark NAME: from now on, until the next one, findings belong to the fault NAME.
mark() {
	step "fault: $1"
	printf '%s\t%s\n' "$(date +%s%N)" "$1" >>"$OUT/marks.tsv"
}

# fail TEXT: the scenario cannot go on. Ends the script.
fail() {
	tell fail "$*"
	exit 1
}

# wait_for SECONDS COMMAND...: until the command succeeds; 1 when it never did.
wait_for() {
	local end=$((SECONDS + $1))
	shift
	until "$@"; do
		((SECONDS < end)) || return 1
		sleep 0.1
	done
}

# --- namespaces ----------------------------------------------------------------------------------

# on NAMESPACE COMMAND...: runs a command there. Each has its own network, /run, /etc/ppp and
# /dev/log.
on() {
	local ns=$1
	shift
	nsenter --net="/run/netns/$ns" --mount="$STATE/mnt/$ns" --wd=/ -- "$@"
}

# spawn NAMESPACE COMMAND...: as `on`, in the background; $! is the command's own process. Returns when it
# goes by the command's name, so that whoever waits for its end finds it.
spawn() {
	local ns=$1
	shift
	(
		# Its end is no error of the script.
		trap - ERR EXIT
		exec nsenter --net="/run/netns/$ns" --mount="$STATE/mnt/$ns" --wd=/ -- "$@"
	) </dev/null &
	wait_for 60 is_started $! || fail "$1 has not started in $ns"
}

# is_started PID: whether the process is neither this shell's copy nor `nsenter` any more.
is_started() {
	local name
	read -r name 2>/dev/null <"/proc/$1/comm" || return 0
	[[ $name != nsenter && $name != "$(</proc/$$/comm)" ]]
}

# Processes of a namespace that have one of the given names.
pids_of() {
	local ns=$1 pid name wanted
	shift
	for pid in $(ip netns pids "$ns"); do
		read -r name 2>/dev/null <"/proc/$pid/comm" || continue
		for wanted; do
			[[ $name != "$wanted" ]] || echo "$pid"
		done
	done
}

# kill_all SIGNAL NAMESPACE NAME...: sends a signal to processes of these names and waits for their
# end.
kill_all() {
	local signal=$1 pids
	shift
	pids=$(pids_of "$@")
	[[ -n $pids ]] || return 0
	# shellcheck disable=SC2086
	kill "-$signal" $pids 2>/dev/null || true
	wait_for 30 none_of "$@" || fail "$* in $1 did not end on SIG$signal"
}

none_of() {
	[[ -z $(pids_of "$@") ]]
}

# Address of client N, and of the router on its side.
client_network() {
	case $1 in
	1) echo 192.0.2 ;;
	2) echo 198.51.100 ;;
	*) echo "100.64.$1" ;;
	esac
}

# client_address CLIENT
client_address() {
	echo "$(client_network "${1#cli}").10"
}

# Gives a network namespace what else it has of its own. It stays when no process is in it.
make_mounts() {
	local ns=$1
	mkdir -p "$STATE/ppp/$ns"
	cp -a /etc/ppp/. "$STATE/ppp/$ns"
	touch "$STATE/mnt/$ns"
	nsenter --net="/run/netns/$ns" unshare --mount="$STATE/mnt/$ns" --propagation private \
		/bin/bash -ec "
			mount -t sysfs sysfs /sys
			mount -t bpf bpf /sys/fs/bpf
			mount -t debugfs debugfs /sys/kernel/debug
			mount -t tracefs tracefs /sys/kernel/tracing
			mount -t tmpfs -o mode=755 run /run
			mount --bind $STATE/ppp/$ns /etc/ppp
			mount --bind $STATE/log/$ns /dev/log
			# A packet of a veth waits on the CPU of its sender. One CPU for all of them keeps their
			# order the same for everyone who looks: tcpdump and the agent sit at different places.
			for queue in /sys/class/net/*/queues/rx-*/rps_cpus; do echo 1 >\$queue; done
			[[ $ns != wan ]] || echo 1 >/proc/sys/net/ipv4/ip_forward"
}

# Namespaces srv and cliN, each with a cable to the router wan: eth0 there, the other one's name here.
make_topology() {
	local clients vlan n network ns names=(wan srv) uplink=eth0 side=srv pids=()
	clients=$(cat "$SCENARIO/clients")
	vlan=$(cat "$SCENARIO/vlan")
	for ((n = 1; n <= clients; n++)); do
		names+=("cli$n")
	done
	# One process for many commands: each costs the emulated guest dearly.
	{
		for ns in "${names[@]}"; do
			echo "netns add $ns"
		done
		for ns in "${names[@]:1}"; do
			echo "link add eth0 netns $ns type veth peer name $ns netns wan"
		done
	} | ip -batch -
	if [[ -n $vlan ]]; then
		uplink=eth0.$vlan side=srv.$vlan
	fi
	{
		echo "link set lo up"
		for ns in "${names[@]:1}"; do
			echo "link set $ns up"
		done
		if [[ -n $vlan ]]; then
			echo "link add link srv name $side type vlan id $vlan"
			echo "link set $side up"
		fi
		echo "addr add 203.0.113.1/24 dev $side"
		for ((n = 1; n <= clients; n++)); do
			echo "addr add $(client_network "$n").1/24 dev cli$n"
		done
	} | ip -n wan -batch -
	{
		printf 'link set %s up\n' lo eth0
		if [[ -n $vlan ]]; then
			echo "link add link eth0 name $uplink type vlan id $vlan"
			echo "link set $uplink up"
		fi
		echo "addr add $SERVER/24 dev $uplink"
		echo "route add default via 203.0.113.1"
	} | ip -n srv -batch -
	for ((n = 1; n <= clients; n++)); do
		network=$(client_network "$n")
		ip -n "cli$n" -batch - <<-END
			link set lo up
			link set eth0 up
			addr add $network.10/24 dev eth0
			route add default via $network.1
		END
	done
	mkdir -p "$STATE/mnt" "$STATE/log"
	# Files that hold a mount namespace must not be in a shared mount.
	mount --bind "$STATE/mnt" "$STATE/mnt"
	mount --make-private "$STATE/mnt"
	start_syslog "$clients"
	for ns in "${names[@]}"; do
		make_mounts "$ns" &
		pids+=($!)
	done
	for n in "${pids[@]}"; do
		wait "$n" || fail "a namespace could not be made"
	done
}

# --- logs and capture ----------------------------------------------------------------------------

# One rsyslogd for all namespaces: a socket and a file for each, and kernel.log for the kernel.
start_syslog() {
	local clients=$1 n ns file config=$STATE/rsyslog.conf
	{
		echo 'module(load="imuxsock" SysSock.Use="off")'
		echo 'module(load="imklog")'
		echo "\$umask 0022"
		echo "kern.* action(type=\"omfile\" file=\"$OUT/kernel.log\" template=\"RSYSLOG_FileFormat\")"
		for ((n = -1; n <= clients; n++)); do
			case $n in
			-1) ns=wan file=wan.log ;;
			0) ns=srv file=server.log ;;
			*) ns=cli$n file=cli$n.log ;;
			esac
			[[ $ns = wan ]] || : >"$OUT/$file"
			echo "input(type=\"imuxsock\" Socket=\"$STATE/log/$ns\" CreatePath=\"on\" Ruleset=\"$ns\""
			echo '  RateLimit.Interval="0")'
			echo "ruleset(name=\"$ns\") { action(type=\"omfile\" file=\"$OUT/$file\""
			echo '  template="RSYSLOG_FileFormat") }'
		done
	} >"$config"
	touch /dev/log
	rsyslogd -f "$config" -i "$STATE/rsyslog.pid"
	wait_for 60 test -S "$STATE/log/cli$clients" || fail "rsyslogd did not start"
}

capture_start() {
	# Immediate mode: without it the last block of packets would be lost at the end.
	spawn srv tcpdump -i eth0 -w "$STATE/uplink.pcap" --time-stamp-precision=nano --immediate-mode \
		-U -n -s 1600 -B 32768 -Z root 2>"$STATE/uplink.txt"
	CAPTURE_PID=$!
	wait_for 60 grep -q 'listening on' "$STATE/uplink.txt" || fail "tcpdump did not start"
}

capture_stop() {
	# Not SIGINT: what bash starts in the background ignores it.
	kill -TERM "$CAPTURE_PID"
	wait "$CAPTURE_PID"
	cp "$STATE/uplink.pcap" "$STATE/uplink.txt" "$OUT/"
}

# --- server --------------------------------------------------------------------------------------

server_configure() {
	local ppp=$STATE/ppp/srv
	cat - "$SCENARIO/server-pptpd" >"$STATE/pptpd.conf" <<-END
		option /etc/ppp/pptpd-options
		stimeout 5
		listen $SERVER
		localip $TUNNEL_SERVER
		remoteip 10.10.0.100-199
	END
	cat - "$SCENARIO/server-options" >"$ppp/pptpd-options" <<-END
		name vpn
		refuse-pap
		refuse-chap
		refuse-mschap
		require-mschap-v2
		require-mppe-128
		nobsdcomp
		novj
		novjccomp
		nologfd
		nodefaultroute
		lcp-restart 1
		lcp-max-configure 10
		lcp-echo-interval 30
		lcp-echo-failure 4
		debug
	END
	cat >"$ppp/chap-secrets" <<-END
		alice vpn wonderland *
		bob vpn builder *
	END
	chmod 600 "$ppp/chap-secrets"
	: >"$ppp/options"
}

# server_options [LINE...]: pppd's options of later calls are the lab's own, the scenario's, and these.
server_options() {
	local line
	server_configure
	for line; do
		echo "$line" >>"$STATE/ppp/srv/pptpd-options"
	done
}

# server_start: pptpd in the foreground, as its service unit does.
server_start() {
	step "server starts"
	spawn srv pptpd --fg -c "$STATE/pptpd.conf" >"$STATE/pptpd.out" 2>&1
	wait_for 60 listening || fail "pptpd does not listen: $(tail -n 3 "$STATE/pptpd.out")"
}

listening() {
	[[ -n $(on srv ss -Hltn 'sport = :1723') ]]
}

# server_stop: pptpd, its connections and their pppd, as systemd ends a service.
server_stop() {
	step "server stops"
	kill_all TERM srv pptpd pptpctrl pppd
}

# restart_server
restart_server() {
	server_stop
	server_start
}

# --- clients -------------------------------------------------------------------------------------

password_of() {
	case $1 in
	alice) echo wonderland ;;
	bob) echo builder ;;
	*) echo none ;;
	esac
}

# dial CLIENT USER [OPTION...]: pppd over pptp, in the background; OPTIONs are pppd's. PASSWORD, when
# set, is what the user types; MPPE, when set, takes the place of require-mppe-128.
dial() {
	local ns=$1 user=$2 words options=()
	shift 2
	step "$ns dials as $user"
	while read -ra words; do
		options+=("${words[@]}")
	done <"$SCENARIO/client-options"
	spawn "$ns" pppd pty "pptp $SERVER --nolaunchpppd" nodetach noauth user "$user" \
		password "${PASSWORD:-$(password_of "$user")}" remotename vpn ${MPPE-require-mppe-128} refuse-eap \
		nodefaultroute nobsdcomp novj novjccomp lcp-restart 1 lcp-max-configure 10 \
		lcp-echo-interval 30 lcp-echo-failure 4 debug "${options[@]}" "$@" \
		>"$OUT/$ns-pppd.txt" 2>&1
}

is_up() {
	on "$1" ip -4 -o addr show up 2>/dev/null | grep -q 'ppp.* peer '
}

is_down() {
	! is_up "$1"
}

# wait_up CLIENT [SECONDS]: until its tunnel has an address.
wait_up() {
	wait_for "${2:-30}" is_up "$1" || fail "$1 has no tunnel after ${2:-30} s"
}

# wait_down CLIENT [SECONDS]: until its tunnel is gone.
wait_down() {
	wait_for "${2:-30}" is_down "$1" || fail "$1 still has its tunnel after ${2:-30} s"
}

# pptp calls its two processes, for GRE and for the control connection, by names of their own.
CLIENT_PROCESSES=(pppd pptp pptpgw pptpcm)

# wait_gone CLIENT [SECONDS]: until its pppd and pptp have ended.
wait_gone() {
	wait_for "${2:-60}" none_of "$1" pppd || fail "pppd of $1 still runs after ${2:-60} s"
	wait_for "${2:-60}" none_of "$1" "${CLIENT_PROCESSES[@]}" && return
	# Now and then pptp-linux waits for ever for a pppd that has ended.
	# shellcheck disable=SC2046
	step "pptp of $1 does not end by itself: $(ps -o pid=,wchan:20=,args= -p $(pids_of "$1" "${CLIENT_PROCESSES[@]}") | tr '\n' ';')"
	kill_all KILL "$1" "${CLIENT_PROCESSES[@]}"
}

# hangup CLIENT: the user ends the call.
hangup() {
	step "$1 hangs up"
	kill_all TERM "$1" pppd
	wait_gone "$1" 20
	wait_for 20 no_links || true
}

# throw_out CLIENT: the administrator of the server ends the client's call.
throw_out() {
	local pid address
	step "the administrator throws $1 out"
	address=$(client_address "$1")
	for pid in $(pids_of srv pppd); do
		# pptpd gives pppd the client's address.
		! grep -q -z -x -F "$address" "/proc/$pid/cmdline" || kill -TERM "$pid"
	done
	wait_down "$1" 20
}

# kill_client CLIENT: the client's processes vanish without a word.
kill_client() {
	local pids
	step "$1 is killed"
	pids=$(pids_of "$1" "${CLIENT_PROCESSES[@]}")
	[[ -n $pids ]] || fail "$1 has no pppd and pptp to kill"
	# Stopped first: else one of them sees the others die and says goodbye.
	# shellcheck disable=SC2086
	kill -STOP $pids
	# shellcheck disable=SC2086
	kill -KILL $pids
	wait_gone "$1" 10
}

# Whether the server has as many pppd as there are clients with one.
no_links() {
	local ns total=0
	for ns in $(ip netns list | grep -o '^cli[0-9]*'); do
		[[ -z $(pids_of "$ns" pppd) ]] || total=$((total + 1))
	done
	(($(pids_of srv pppd | wc -l) <= total))
}

# wait_server_idle [SECONDS]: until no pppd of the server is left.
wait_server_idle() {
	wait_for "${1:-60}" none_of srv pppd pptpctrl || fail "the server still has calls after ${1:-60} s"
}

# --- traffic -------------------------------------------------------------------------------------

# ping_tunnel CLIENT [COUNT]: through the tunnel to the server's end.
ping_tunnel() {
	step "$1 pings through the tunnel"
	on "$1" ping -q -i 0.05 -c "${2:-5}" -W 5 "$TUNNEL_SERVER" >"$STATE/ping" 2>&1 ||
		fail "$1: no ping through the tunnel: $(tail -n 2 "$STATE/ping" | head -n 1)"
}

# flood CLIENT COUNT: pings that follow each other closely; some may be lost.
flood() {
	step "$1 sends $2 pings"
	on "$1" ping -q -i 0.005 -c "$2" -s 200 -W 1 "$TUNNEL_SERVER" >"$STATE/flood" 2>&1 ||
		fail "$1: no ping came back"
}

# bulk CLIENT up|down SIZE [OPTION...]: a transfer with iperf3 through the tunnel; OPTIONs are
# iperf3's.
bulk() {
	local ns=$1 direction=$2 size=$3 options=()
	shift 3
	[[ $direction = up ]] || options=(-R)
	step "$ns transfers $size $direction"
	wait_for 10 server_has_tunnel || fail "the server has no address $TUNNEL_SERVER"
	spawn srv iperf3 -s -1 -B "$TUNNEL_SERVER" >"$STATE/iperf3-server" 2>&1
	wait_for 10 iperf_listening || fail "iperf3 does not listen: $(tail -n 1 "$STATE/iperf3-server")"
	on "$ns" iperf3 -c "$TUNNEL_SERVER" -n "$size" --connect-timeout 10000 "${options[@]}" "$@" \
		>"$STATE/iperf3-$ns" 2>&1 || fail "$ns: iperf3: $(tail -n 1 "$STATE/iperf3-$ns")"
}

server_has_tunnel() {
	[[ -n $(on srv ip -o addr show to "$TUNNEL_SERVER") ]]
}

iperf_listening() {
	[[ -n $(on srv ss -Hltn 'sport = :5201') ]]
}

uplink_packets() {
	on srv cat /sys/class/net/eth0/statistics/{r,t}x_packets
}

# settle: until nothing has crossed the uplink for a second, and the daemons have said nothing.
settle() {
	local before after=none tries
	for ((tries = 0; tries < 30; tries++)); do
		before=$after
		after=$(uplink_packets && stat -c %s "$OUT/server.log")
		[[ $before != "$after" ]] || return 0
		sleep 1
	done
	fail "the uplink does not come to rest"
}

# send_gre CLIENT COUNT HEX: GRE packets to the server; HEX is all that follows the IPv4 header.
send_gre() {
	on "$1" python3 /lab/guest/gre.py "$SERVER" "$2" "$3"
}

# send_frames CLIENT COUNT HEX: PPP frames in the call that is up, as its client would send them: what
# that itself sends later is old then.
send_frames() {
	on "$1" python3 /lab/guest/gre.py --call "$OUT/events.jsonl" "$STATE/sequence" "$2" "$3"
}

# odd CLIENT WHAT [SECONDS]: a client that is not as it should be; WHAT is in the head of odd.py.
odd() {
	step "$1 is odd: $2"
	on "$1" python3 /lab/guest/odd.py "$(client_address "$1")" "$SERVER" "${@:2}" >"$STATE/odd" 2>&1 || true
}

# wait_probe NAME STATE [SECONDS]: until the agent says that this probe is attached, or waiting.
wait_probe() {
	has_agent || return 0
	wait_for "${3:-20}" probe_is "$1" "$2" || fail "probe $1 is not $2 after ${3:-20} s"
}

probe_is() {
	grep -E '"event":"agent.(start|status)"' "$OUT/events.jsonl" | tail -n 1 |
		grep -q "\"name\":\"$1\",[^}]*\"state\":\"$2\""
}

# wait_event TEXT COUNT [SECONDS]: until the agent has written so many lines with TEXT in them.
wait_event() {
	has_agent || return 0
	wait_for "${3:-30}" has_events "$1" "$2" ||
		fail "$(count_events "$1") lines of the agent have $1 after ${3:-30} s, not $2"
}

count_events() {
	grep -c -F -- "$1" "$OUT/events.jsonl" || true
}

has_events() {
	(($(count_events "$1") >= $2))
}

# wait_drops REASON COUNT [SECONDS]: until the agent has reported so many.
wait_drops() {
	has_agent || return 0
	wait_for "${3:-20}" has_drops "$1" "$2" ||
		fail "the agent reports $(drops "$1") drops for $1 after ${3:-20} s, not $2"
}

has_drops() {
	(($(drops "$1") >= $2))
}

# drops REASON: how many the agent has reported.
drops() {
	grep "\"drop\":{\"reason\":\"$1\"" "$OUT/events.jsonl" | grep -o '"count":[0-9]*' |
		awk -F : '{ sum += $2 } END { print sum + 0 }'
}

# status_number NAME: a number of the last agent.status.
status_number() {
	grep '"event":"agent.status"' "$OUT/events.jsonl" | tail -n 1 | grep -o "\"$1\":[0-9]*" | head -n 1 | cut -d : -f 2
}

# --- fault ---------------------------------------------------------------------------------------

# break_it: runs [fault] run of the scenario; without one it does nothing.
break_it() {
	if [[ -s $SCENARIO/fault ]]; then
		step "fault: $(cat "$SCENARIO/fault-about")"
		# shellcheck disable=SC1091
		. "$SCENARIO/fault"
	else
		step "no fault"
	fi
}

# mend_it: runs [fault] undo of the scenario.
mend_it() {
	if [[ -s $SCENARIO/undo ]]; then
		step "fault is mended"
		# shellcheck disable=SC1091
		. "$SCENARIO/undo"
	fi
}

# --- agent ---------------------------------------------------------------------------------------

has_agent() {
	[[ -e /lab/agent/pptpscope && $(cat "$SCENARIO/agent") = yes ]]
}

# with_capabilities NAME...: the words that make a command that of user nobody with these capabilities.
with_capabilities() {
	local IFS=,
	local list="${*/#/+}"
	echo "setpriv --reuid=65534 --regid=65534 --clear-groups --inh-caps=$list --ambient-caps=$list"
}

# agent_start [ARGUMENT...]: pptpscope run on the server, until it has written agent.start. Does
# nothing when it runs already. It follows the server's log, unless an argument is about logs. AGENT_AS
# holds words that come before it.
agent_start() {
	local arguments
	has_agent || return 0
	[[ -z ${AGENT_PID:-} ]] || return 0
	step "agent starts"
	[[ -x $AGENT ]] || install -m 755 /lab/agent/pptpscope "$AGENT"
	mapfile -t arguments <"$SCENARIO/agent-args"
	arguments+=("$@")
	case " ${arguments[*]} " in
	*" --log "* | *" --journal "* | *" --no-logs "*) ;;
	*) arguments+=(--log "$OUT/server.log") ;;
	esac
	# shellcheck disable=SC2086
	spawn srv ${AGENT_AS:-} "$AGENT" run "${arguments[@]}" >"$OUT/events.jsonl" 2>"$OUT/agent.log"
	AGENT_PID=$!
	wait_for 60 agent_said_or_ended || true
	grep -q '"agent.start"' "$OUT/events.jsonl" || {
		agent_reap
		fail "the agent did not start: $(tail -n 1 "$OUT/agent.log")"
	}
}

agent_said_or_ended() {
	agent_ended || grep -q '"agent.start"' "$OUT/events.jsonl"
}

agent_reap() {
	local code=0
	wait "$AGENT_PID" || code=$?
	echo "$code" >"$OUT/agent.exit"
	AGENT_PID=
}

agent_ended() {
	[[ ! -d /proc/$AGENT_PID || $(cut -d ' ' -f 3 "/proc/$AGENT_PID/stat" 2>/dev/null) = Z ]]
}

# agent_stop: SIGTERM, as systemd does, when traffic has come to rest.
agent_stop() {
	settle
	[[ -n ${AGENT_PID:-} ]] || return 0
	step "agent stops"
	kill -TERM "$AGENT_PID" 2>/dev/null || true
	# Each kernel probe that goes waits for the kernel: seconds in an emulated guest on a busy machine.
	if ! wait_for 30 agent_ended; then
		kill -KILL "$AGENT_PID"
		agent_reap
		fail "the agent did not end 30 s after SIGTERM"
	fi
	agent_reap
}

# systemd_start: systemd as process 1 of a namespace of its own, on the server's network. It starts no daemon
# by itself; IN_SYSTEMD is its process id outside.
systemd_start() {
	step "systemd starts"
	nsenter --net=/run/netns/srv unshare --mount --pid --fork --mount-proc bash -c '
		mount -t tmpfs -o mode=755 run /run
		mount -t cgroup2 cgroup2 /sys/fs/cgroup
		mkdir -p /run/systemd/system
		for unit in systemd-sysctl.service systemd-modules-load.service systemd-remount-fs.service tmp.mount; do
			ln -s /dev/null "/run/systemd/system/$unit"
		done
		exec env -i container=lab PATH="$PATH" /lib/systemd/systemd --unit=basic.target
	' </dev/null >"$OUT/systemd.txt" 2>&1 &
	wait_for 30 systemd_is_there || fail "systemd did not start: $(tail -n 1 "$OUT/systemd.txt")"
	wait_for 120 in_systemd systemctl --quiet is-active basic.target || fail "systemd did not come up"
}

systemd_is_there() {
	IN_SYSTEMD=$(pgrep -x systemd | head -n 1)
	[[ -n $IN_SYSTEMD ]]
}

# in_systemd COMMAND...: runs a command where systemd runs.
in_systemd() {
	nsenter --target "$IN_SYSTEMD" --mount --pid --net --wd=/ -- "$@"
}

# doctor: the checklist of the server's host as it is now.
doctor() {
	local code=0
	step "doctor looks"
	DOCTOR=$OUT/doctor-$((DOCTOR_RUNS += 1)).txt
	on srv "$AGENT" doctor --client "$(client_address cli1)" >"$DOCTOR" 2>&1 || code=$?
	((code <= 1)) || fail "doctor ended with $code: $(tail -n 1 "$DOCTOR")"
}

# doctor_says STATUS CHECK [WORDS]: what the last run says of a check, and somewhere in its lines.
doctor_says() {
	local block
	block=$(awk -v check="$2" '/^[a-z]/ { inside = $2 == check } inside' "$DOCTOR")
	[[ $block = "$1 "* ]] || fail "doctor does not say $1 of $2 but: ${block:-nothing}"
	[[ $block = *"${3:-}"* ]] || fail "doctor does not say '$3' of $2 but: $block"
}

# agent_kill: the agent vanishes without a word; agent_start may start another one.
agent_kill() {
	[[ -n ${AGENT_PID:-} ]] || return 0
	step "the agent is killed"
	kill -KILL "$AGENT_PID"
	wait "$AGENT_PID" || true
	AGENT_PID=
}

# agent_traces: how many filters and kernel probes of an agent there are.
agent_traces() {
	local filters probes list=/sys/kernel/debug/kprobes/list
	[[ -e $list ]] || mount -t debugfs debugfs /sys/kernel/debug
	filters=$({ on srv tc filter show dev eth0 ingress && on srv tc filter show dev eth0 egress; } 2>&1 | grep -c pptpscope) || true
	probes=$(grep -c -E 'ppp_|pptp_|gre_rcv|raw_rcv|raw_icmp_error|mppe_' "$list") || true
	echo "$filters filters, $probes probes"
}

# --- running a scenario --------------------------------------------------------------------------

lab_up() {
	tell booted "$(uname -r)"
	make_topology
	capture_start
	[[ $(cat "$SCENARIO/server-daemon") != pptpd ]] || {
		server_configure
		server_start
	}
}

lab_down() {
	step "capture is copied"
	[[ -z ${CAPTURE_PID:-} ]] || capture_stop
	[[ ! -f $STATE/rsyslog.pid ]] || kill "$(cat "$STATE/rsyslog.pid")"
	wait_for 5 test ! -e "$STATE/rsyslog.pid" || true
	dmesg >"$OUT/dmesg.txt"
}

play() {
	local code
	lab_up
	# A subshell: `fail` and `set -e` end the script, not the lab. (After `||` it would ignore -e.)
	(
		set -eE
		trap 'tell fail "$BASH_COMMAND: exit code $? (line $LINENO of the script)"' ERR
		trap '[[ -z ${AGENT_PID:-} ]] || { kill -TERM $AGENT_PID; wait_for 10 agent_ended || kill -KILL $AGENT_PID; agent_reap; } 2>/dev/null' EXIT
		# shellcheck disable=SC1091
		. "$SCENARIO/script"
	)
	code=$?
	lab_down
	tell exit "$code"
}

interactive() {
	lab_up
	# shellcheck disable=SC1091
	(. "$SCENARIO/script")
	tell shell ready
	cat <<-END

		The VPN is up: alice on cli1, $(client_address cli1) to $SERVER; namespaces srv, wan, cli1.
		  on srv ip addr          a command in a namespace
		  ping_tunnel cli1        functions of scenarios: see /lab/guest/lab.sh
		  tail -f $OUT/server.log
		The end of this shell ends the guest.

	END
	stty -F /dev/ttyS0 sane
	setsid --ctty --wait bash --rcfile /lab/guest/shellrc -i </dev/ttyS0 >/dev/ttyS0 2>&1
	lab_down
	tell exit 0
}
