#!/bin/busybox sh
# The first program of the guest: mounts the image with a tmpfs over it, sets up what an ordinary
# system would have by then, and becomes the agent.  /settings sets:
#   modules  those to load for the root, in order
#   user, uid, gid, home   the account that programs run as
#   shares   tags of shared folders; TAG_path and TAG_mode (ro or rw) of each
#   gpu      1 to wait for the virtio-gpu device
#   network  1 to set up the network card
bb=/bin/busybox
. /settings
$bb mount -t proc proc /proc
$bb mount -t sysfs sys /sys
$bb mount -t devtmpfs dev /dev
for module in $modules; do
    $bb insmod /modules/$module.ko || echo "crossdomain: cannot load $module" >/dev/console
done
$bb mount -t erofs -o ro /dev/vda /lower || echo "crossdomain: cannot mount the image" >/dev/console
$bb mount -t tmpfs -o mode=755 tmpfs /upper
$bb mkdir /upper/files /upper/work /upper/site
$bb mount -t overlay -o lowerdir=/lower,upperdir=/upper/files,workdir=/upper/work root /new
$bb cp -r /site/. /upper/site/
$bb mkdir -p /new/opt/crossdomain
$bb mount -o bind /upper/site /new/opt/crossdomain
$bb mount -o remount,bind,ro /new/opt/crossdomain
$bb mount --move /dev /new/dev
$bb mount --move /proc /new/proc
$bb mount --move /sys /new/sys
$bb cp /settings /new/run/crossdomain-settings 2>/dev/null
exec $bb switch_root /new /bin/busybox sh -c '
bb=/bin/busybox
. /run/crossdomain-settings
export PATH=/usr/sbin:/usr/bin
$bb mkdir -p /dev/pts /dev/shm
$bb mount -t devpts -o mode=620,ptmxmode=666 devpts /dev/pts
$bb mount -t tmpfs -o mode=1777 tmpfs /dev/shm
$bb mount -t tmpfs -o mode=755 tmpfs /run
$bb mount -t tmpfs -o mode=1777 tmpfs /tmp
$bb mkdir -p -m 1777 /tmp/.X11-unix
$bb ln -sf /proc/self/fd /dev/fd
$bb ln -sf /proc/self/fd/0 /dev/stdin
$bb ln -sf /proc/self/fd/1 /dev/stdout
$bb ln -sf /proc/self/fd/2 /dev/stderr
$bb hostname crossdomain
echo crossdomain >/etc/hostname
$bb printf "127.0.0.1 localhost crossdomain\n" >/etc/hosts
$bb tr -d - </proc/sys/kernel/random/uuid >/etc/machine-id
$bb ip link set lo up
if [ "$uid" != 0 ]; then
    echo "$user:x:$uid:$gid::$home:/bin/bash" >>/etc/passwd
    echo "$user:x:$gid:" >>/etc/group
fi
$bb mkdir -p "$home" /run/user/$uid /run/user/0
$bb chown $uid:$gid "$home" /run/user/$uid
$bb chmod 700 /run/user/*
$bb ln -s /opt/crossdomain/bin/crossdomain-* /usr/local/bin/
for tag in $shares; do
    eval path=\$${tag}_path mode=\$${tag}_mode
    $bb mkdir -p "$path"
    $bb mount -t 9p -o trans=virtio,version=9p2000.L,msize=262144,access=any,cache=mmap,$mode $tag "$path" ||
        echo "crossdomain: cannot mount the shared folder $path" >/dev/console
done
(
    # With devices of the second rank in the background, the agent is up half a second earlier.
    status=0
    modprobe virtio_gpu 2>/dev/null
    if [ "$gpu" = 1 ] && ! [ -e /dev/dri/renderD128 ]; then status=1; fi
    chmod a+rw /dev/dri/render* /dev/udmabuf /dev/dma_heap/* 2>/dev/null
    if [ "$network" = 1 ]; then
        modprobe virtio_net
        card=$(ls /sys/class/net | grep -v lo)
        $bb ip link set $card up
        $bb ip address add 10.0.2.15/24 dev $card
        $bb ip route add default via 10.0.2.2
        echo nameserver 10.0.2.3 >/etc/resolv.conf
    fi
    exit $status
) &
devices=$!
exec /usr/bin/python3 -IS /opt/crossdomain/bin/agent $devices
'
