# lib.sh: what deploy/quickstart and tests/run share: a table of steps with progress and logs, Debian packages, a Python environment.
# Sourced by bash with `set -euo pipefail`; `root` is the source tree.
# shellcheck shell=bash disable=SC2154

lib_tty=0
[ -t 1 ] && lib_tty=1

lib_elapsed() { # SECONDS
	if [ "$1" -lt 60 ]; then echo "$1 s"; else echo "$(($1 / 60)) min $(($1 % 60)) s"; fi
}

# ---- steps ----
# A step is a function that runs in a process of its own, with `set -e` in force and its output in a log. What it writes to
# $step_note stands behind its "ok".

lib_ticker() { # SINCE HEADLINE: shows on a terminal that something goes on, until it is ended
	while sleep 1; do
		printf '\r%s %s \033[K' "$2" "$(lib_elapsed $((SECONDS - $1)))"
	done
}

lib_stop() { # PID..: ends these processes and what they started
	local pid
	for pid in "$@"; do
		# shellcheck disable=SC2046 # process ids are words
		lib_stop $(cat "/proc/$pid/task/$pid/children" 2>/dev/null)
		kill "$pid" 2>/dev/null || true
	done
}

# step_run NUMBER/COUNT TITLE LOG FUNCTION: false if it failed, after saying why. Must not be called in a condition (if, &&, ||):
# bash then ignores `set -e` in all that it calls, also in the background.
step_run() {
	local headline begun=$SECONDS ticker="" pid status=0 note=""
	headline=$(printf '[%5s] %s ...' "$1" "$2")
	step_note=$3.note
	rm -f "$step_note"
	printf '%s' "$headline"
	if [ "$lib_tty" = 1 ]; then
		lib_ticker "$begun" "$headline" &
		ticker=$!
	fi
	(
		set -e
		"$4"
	) >"$3" 2>&1 &
	pid=$!
	trap 'lib_stop $pid $ticker; printf "\nStopped in step %s. Its log: %s\n" "$1" "$3"; exit 130' INT TERM
	wait "$pid" || status=$?
	trap - INT TERM
	if [ -n "$ticker" ]; then
		kill "$ticker"
		wait "$ticker" 2>/dev/null || true
		printf '\r%s' "$headline"
	fi
	[ -s "$step_note" ] && note="$(cat "$step_note"), "
	if [ "$status" = 0 ]; then
		printf ' ok, %s%s\n' "$note" "$(lib_elapsed $((SECONDS - begun)))"
	else
		printf ' FAILED, %safter %s. The end of its log:\n' "$note" "$(lib_elapsed $((SECONDS - begun)))"
		tail -n 25 "$3" | sed 's/^/    | /'
		printf '    The whole log: %s\n' "$3"
	fi
	[ "$status" = 0 ]
}

# ---- packages ----

packages_missing() { # GROUP..: those of these groups of deploy/packages that are not installed
	local group package wanted=()
	while read -r group package; do
		case " $* " in
		*" $group "*) wanted+=("$package") ;;
		esac
	done <"$root/deploy/packages"
	comm -23 <(printf '%s\n' "${wanted[@]}" | sort) \
		<(dpkg-query -W -f '${Package} ${db:Status-Abbrev}\n' "${wanted[@]}" 2>/dev/null | sed -n 's/ ii *$//p' | sort)
}

packages_install() { # GROUP..: what is missing of these groups of deploy/packages
	local missing sudo=()
	command -v dpkg-query >/dev/null || {
		echo "This is no Debian system: there is no dpkg-query. deploy/packages names what is needed."
		return 1
	}
	missing=$(packages_missing "$@")
	if [ -z "$missing" ]; then
		echo "there already" >"$step_note"
		return
	fi
	if [ "$(id -u)" != 0 ]; then
		command -v sudo >/dev/null || {
			echo "These packages are missing: ${missing//$'\n'/ }"
			echo "Run this as root, or install sudo."
			return 1
		}
		sudo=(sudo)
	fi
	export DEBIAN_FRONTEND=noninteractive
	"${sudo[@]}" apt-get update -q
	# shellcheck disable=SC2086 # the packages are words
	"${sudo[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends -o DPkg::Lock::Timeout=300 $missing
	echo "$(wc -w <<<"$missing") installed" >"$step_note"
}

packages_ask() { # GROUP..: asks for sudo's password while the terminal is still ours
	[ "$(id -u)" = 0 ] || [ -z "$(packages_missing "$@")" ] || ! command -v sudo >/dev/null || sudo -v
}

# ---- Python ----

# python_environment DIR [REQUIREMENTS [FILE]..]: a virtual environment of Debian's Python that sees the bridgepool package in this tree. It is
# made again when the Python or the requirements change.
python_environment() {
	local dir=$1 requirements=${2:-/dev/null} key
	shift
	key=$(cat "${@:-/dev/null}" <(/usr/bin/python3 --version) <(echo "$root") | sha256sum)
	if [ "$(cat "$dir/made-from" 2>/dev/null)" = "$key" ]; then
		echo "there already" >"$step_note"
		return
	fi
	rm -rf "$dir"
	/usr/bin/python3 -m venv "$dir"
	# The package has no dependencies: a line that says where it lies installs it, without building or fetching anything.
	echo "$root/src/bridges/python" >"$("$dir/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/bridgepool.pth"
	if [ -s "$requirements" ]; then
		"$dir/bin/pip" install --progress-bar off --disable-pip-version-check -r "$requirements"
	fi
	"$dir/bin/python" -c 'import bridgepool'
	echo "$key" >"$dir/made-from"
}
