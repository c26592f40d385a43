# Prints what the kernel gives an instance and no other may have, a line of a name and a
# value each, and starts no other program for it.
while read -r range _ _ _ _ path; do
	from=${range%-*}
	case $path in
	*/bash) program=${program:-$from} ;;
	'[heap]') heap=$from ;;
	*/libc*) library=${library:-$from} ;;
	'[stack]') stack=$from ;;
	esac
done </proc/self/maps
echo "layout $program $heap $library $stack"
echo "getrandom $SRANDOM $SRANDOM $SRANDOM $SRANDOM" # 32 bits each (bash(1), getrandom(2))
while read -r name file; do
	read -r value <"$file"
	echo "$name $value"
done <<END
boot-id /proc/sys/kernel/random/boot_id
kernel-uuid /proc/sys/kernel/random/uuid
machine-id /etc/machine-id
address /sys/class/net/eth0/address
randomize /proc/sys/kernel/randomize_va_space
END
