#!/bin/sh
# Runs mosquitto by what fleet servers leave in their folder for a broker that they do not run, and has it read their rules again
# whenever these change. FIELDFARE_DIR is their folder, BROKER_DATA where the broker keeps its own.
set -eu
left=${FIELDFARE_DIR:-/var/lib/fieldfare}/broker
data=${BROKER_DATA:-/var/lib/broker}
rules="$left/acl $left/revoked.pem $left/../authority/server.pem"

for file in "$left/mosquitto.conf" "$left/accounts.json" $rules; do
    until [ -s "$file" ]; do sleep 0.2; done
done
plugin=$(find /usr/lib /usr/local/lib -name mosquitto_dynamic_security.so 2>/dev/null | head -n 1)
[ -n "$plugin" ] || { echo "error: expected mosquitto's mosquitto_dynamic_security.so, found none" >&2; exit 2; }
umask 077
sed -e "s|^plugin .*|plugin $plugin|" \
    -e "s|^plugin_opt_config_file .*|plugin_opt_config_file $data/accounts.json|" \
    -e "s|^persistence_location .*|persistence_location $data/|" \
    "$left/mosquitto.conf" >"$data/mosquitto.conf"
# The servers' folder is open to their user alone, who starts this too: mosquitto is not to become another.
echo "user $(id -un)" >>"$data/mosquitto.conf"
# Accounts are only ever made to end connections; one that a crash left behind would lock its device out.
cp "$left/accounts.json" "$data/accounts.json"

# glibc gives each freed chunk's pages back to the kernel and faults them in anew for the next.
export MALLOC_MMAP_THRESHOLD_=16777216 MALLOC_TRIM_THRESHOLD_=67108864
state_of_rules() { stat -c '%n %i %Y %s' $rules 2>/dev/null || true; }
# Before it reads them: what changes meanwhile is read again.
seen=$(state_of_rules)
PATH=$PATH:/usr/sbin mosquitto -c "$data/mosquitto.conf" &
broker=$!
trap 'kill -TERM "$broker"' TERM INT
while kill -0 "$broker" 2>/dev/null; do
    now=$(state_of_rules)
    if [ "$now" != "$seen" ]; then
        seen=$now
        kill -HUP "$broker"
    fi
    # In the background, so that a signal is heard at once.
    sleep 1 &
    wait $! || true
done
wait "$broker"
