#!/bin/bash
# A RADIUS server on the router, and the server's pppd as its client. Sourced by lab.sh.

RADIUS=$STATE/raddb
RADIUS_SERVER=203.0.113.1

# radius_start: FreeRADIUS on the router; its log is radius.log of the run. It knows alice, and carol without a
# password.
radius_start() {
	step "FreeRADIUS starts"
	mkdir -p "$RADIUS"
	: >"$RADIUS/dictionary"
	cat >"$RADIUS/users" <<-END
		alice Cleartext-Password := "wonderland"
		carol Auth-Type := MS-CHAP
	END
	cat >"$RADIUS/radiusd.conf" <<-END
		prefix = /usr
		libdir = /usr/lib/freeradius
		logdir = $RADIUS
		raddbdir = $RADIUS
		run_dir = $RADIUS
		db_dir = $RADIUS
		max_request_time = 30
		cleanup_delay = 5
		log {
			destination = files
			file = $OUT/radius.log
			auth = yes
		}
		security {
			max_attributes = 200
			reject_delay = 0
			status_server = no
		}
		proxy_requests = no
		client vpn {
			ipaddr = $SERVER
			secret = tunnel
		}
		thread pool {
			start_servers = 1
			max_servers = 4
			min_spare_servers = 1
			max_spare_servers = 2
		}
		modules {
			mschap {
				use_mppe = yes
				require_encryption = yes
				require_strong = yes
			}
			files {
				filename = $RADIUS/users
			}
			always ok {
				rcode = ok
			}
		}
		server default {
			listen {
				type = auth
				ipaddr = $RADIUS_SERVER
				port = 1812
			}
			listen {
				type = acct
				ipaddr = $RADIUS_SERVER
				port = 1813
			}
			authorize {
				mschap
				files
			}
			authenticate {
				Auth-Type MS-CHAP {
					mschap
				}
			}
			accounting {
				ok
			}
		}
	END
	chmod -R go= "$RADIUS"
	: >"$OUT/radius.log"
	spawn wan freeradius -f -d "$RADIUS" >"$STATE/freeradius.out" 2>&1
	RADIUS_PID=$!
	wait_for 90 radius_listens || fail "FreeRADIUS does not listen: $(tail -n 2 "$OUT/radius.log" "$STATE/freeradius.out")"
}

radius_listens() {
	[[ -n $(on wan ss -Hlun 'sport = :1812') ]]
}

# radius_signal SIGNAL: to FreeRADIUS.
radius_signal() {
	kill "-$1" "$RADIUS_PID"
}

# radius_client SECRET [LINE...]: pppd of the server asks FreeRADIUS, with this secret; LINEs are further options.
radius_client() {
	local ppp=$STATE/ppp/srv
	server_options "plugin radius.so" "radius-config-file /etc/ppp/radius.conf" "${@:2}"
	echo "$RADIUS_SERVER $1" >"$ppp/radius-servers"
	: >"$ppp/radius-map"
	cat >"$ppp/radius.conf" <<-END
		auth_order radius
		login_tries 4
		login_timeout 60
		nologin /etc/nologin
		issue /etc/issue
		authserver $RADIUS_SERVER
		acctserver $RADIUS_SERVER
		servers /etc/ppp/radius-servers
		dictionary /etc/ppp/radius-dictionary
		login_radius /usr/sbin/login.radius
		seqfile /run/radius.seq
		mapfile /etc/ppp/radius-map
		radius_timeout 3
		radius_retries 2
	END
	# It asks for the address of this host by name.
	grep -q "^$SERVER" /etc/hosts || echo "$SERVER $(hostname)" >>/etc/hosts
	# pppd's own library reads the older form of the dictionary.
	awk '$4 !~ /^ipv6/ { sub(/ipv4addr/, "ipaddr"); print }' /etc/radcli/dictionary |
		grep -v INCLUDE >"$ppp/radius-dictionary"
	cat /etc/radcli/dictionary.microsoft >>"$ppp/radius-dictionary"
	chmod 600 "$ppp/radius-servers"
}
