#!/bin/bash
# Calls in the kernel, by pptp.ko: the functions with which scenarios make and use them. Sourced by
# lab.sh. Each end is the program kernel-call; see tests/src/bin/kernel-call/main.rs.

# Call ids: that on which the server receives, and that on which the client does.
SERVER_CALL=4660
CLIENT_CALL=17185
KERNEL_CALL=$STATE/kernel-call
# 128 bits, stateless.
MPPE_128=01000040

# load_kernel_path: the modules of the kernel's own PPTP, and the agent's probes in them.
load_kernel_path() {
	modprobe -a pptp ppp_mppe ppp_async
	wait_probe path_pptp_core attached
	wait_probe path_mppe_in attached
	wait_probe path_ppp_frame attached
}

# end_start NAMESPACE OPTION...: one end of a call.
end_start() {
	local ns=$1 fd
	shift
	[[ -x $KERNEL_CALL ]] || install -m 755 /lab/agent/kernel-call "$KERNEL_CALL"
	mkfifo "$STATE/end-$ns"
	: >"$STATE/end-$ns.out"
	# Open for reading and writing: it has no end of file between two commands.
	exec {fd}<>"$STATE/end-$ns"
	(
		trap - ERR EXIT
		exec nsenter --net="/run/netns/$ns" --mount="$STATE/mnt/$ns" --wd=/ -- "$KERNEL_CALL" "$@"
	) <&"$fd" >"$STATE/end-$ns.out" 2>&1 &
	wait_for 10 end_has_said "$ns" 1 || fail "$ns: kernel-call does not start: $(cat "$STATE/end-$ns.out")"
	[[ $(cat "$STATE/end-$ns.out") = ok* ]] || fail "$ns: $(cat "$STATE/end-$ns.out")"
}

end_has_said() {
	local lines
	mapfile -t lines <"$STATE/end-$1.out"
	((${#lines[@]} >= $2))
}

# order NAMESPACE COMMAND...: gives an end a command and waits until it is done.
order() {
	local ns=$1 lines
	shift
	mapfile -t lines <"$STATE/end-$ns.out"
	echo "$*" >"$STATE/end-$ns"
	wait_for 20 end_has_said "$ns" $((${#lines[@]} + 1)) || fail "$ns does not answer to $*"
	mapfile -t lines <"$STATE/end-$ns.out"
	[[ ${lines[-1]} = "ok $*" ]] || fail "$ns: ${lines[-1]}"
}

# kernel_ends: both ends of a call between cli1 and srv, and LCP.
kernel_ends() {
	step "a call in the kernel"
	end_start srv --local "$SERVER" --peer "$(client_address cli1)" \
		--local-call $SERVER_CALL --peer-call $CLIENT_CALL --listen
	end_start cli1 --local "$(client_address cli1)" --peer "$SERVER" \
		--local-call $CLIENT_CALL --peer-call $SERVER_CALL --dial
	both open
}

# both COMMAND...: the same at both ends, until each has the other's answer.
both() {
	order srv "$@"
	order cli1 "$@"
	order srv settled
	order cli1 settled
}

# kernel_up: addresses, and both interfaces up.
kernel_up() {
	order srv ipcp "$TUNNEL_SERVER"
	order cli1 ipcp 10.10.0.100
	order srv settled
	order cli1 settled
	tunnel_address srv "$TUNNEL_SERVER" 10.10.0.100
	tunnel_address cli1 10.10.0.100 "$TUNNEL_SERVER"
}

# tunnel_address NAMESPACE LOCAL PEER
tunnel_address() {
	on "$1" sysctl -qw net.ipv6.conf.ppp0.disable_ipv6=1
	on "$1" ip addr add "$2" peer "$3" dev ppp0
	on "$1" ip link set ppp0 mtu 1396 up
}

# kernel_call [BITS]: a call that is up; with BITS it is encrypted.
kernel_call() {
	load_kernel_path
	kernel_ends
	[[ -z ${1:-} ]] || {
		both mppe "$1"
		both ccp "$1"
	}
	kernel_up
	wait_for 20 answers_ping || fail "no ping through the call"
}

answers_ping() {
	on cli1 ping -q -c 1 -W 1 "$TUNNEL_SERVER" >"$STATE/ping"
}

# kernel_hangup: both ends vanish.
kernel_hangup() {
	echo quit >"$STATE/end-cli1"
	echo quit >"$STATE/end-srv"
	wait_for 10 none_of srv kernel-call || fail "kernel-call does not end"
	wait_for 10 none_of cli1 kernel-call || fail "kernel-call does not end"
}

# in_call COUNT SEQUENCE FRAME...: hand-made packets of the client in the call, COUNT times all FRAMEs,
# which begin with the PPP protocol. SEQUENCE is that of the first, in hexadecimal digits; what the
# client itself sends later is old then.
in_call() {
	local count=$1 sequence=$((16#$2)) frame n packets=()
	shift 2
	for ((n = 0; n < count; n++)); do
		for frame; do
			packets+=("$(printf '3001880b%04x%04x%08x' $((${#frame} / 2)) $SERVER_CALL $sequence)$frame")
			sequence=$((sequence + 1))
		done
	done
	on cli1 python3 /lab/guest/gre.py --packets "$SERVER" "${packets[@]}"
}

# send_ip SOURCE PROTOCOL FRAGMENT COUNT HEX: from cli1 to the server, with an IPv4 header made by hand.
send_ip() {
	on cli1 python3 /lab/guest/gre.py --ip "$1" "$SERVER" "$2" "$3" "$4" "$5"
}

# server_pings COUNT: into the call; nobody waits for answers.
server_pings() {
	on srv ping -q -i 0.1 -c "$1" -W 1 10.10.0.100 >"$STATE/ping" 2>&1 || true
}

# zeros BYTES: as hexadecimal digits.
zeros() {
	printf '%0*d' $(($1 * 2)) 0
}

# Reset-Ack of CCP (RFC 1962, section 5.6), as the client would send it.
RESET_ACK=80fd0f010004
