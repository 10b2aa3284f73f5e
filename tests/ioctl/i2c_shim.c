/*
 * Lets a program that was started with this library in LD_PRELOAD open /dev/i2c-N where there is
 * no such bus. The bus is a UNIX socket named i2c-N in the folder that I2C_SHIM_DIR names, and
 * whoever listens there answers for the chips.
 *
 * The descriptor that open returns is the connected socket itself, so that fork, fstat and close
 * work as ever. A transfer is one packet each way:
 *
 *   request   for each message of the transfer: address, flags, length (16 bits each, in the
 *             order of this machine), then the bytes of the message if it is written
 *   answer    an error number (32 bits, 0 for none), then the bytes of all messages that are read
 *
 * A bus without a socket does not exist (ENOENT). One whose socket nobody serves was unplugged:
 * to open it gives ENXIO. A descriptor whose peer has gone gives ENODEV for ever, as it does when
 * an adapter is pulled; the next open finds the bus again once it is back.
 *
 * System calls are made directly: so nothing has to be looked up, and no order of loading matters.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/i2c-dev.h>
#include <linux/i2c.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#define FOLDER "I2C_SHIM_DIR"
#define DEVICE "/dev/i2c-"
#define DESCRIPTORS 1024
#define PACKET_BYTES 32768
#define MESSAGE_BYTES 8192 /* as i2c-dev allows */

/* Which descriptors are buses, and a turn for each: an answer must reach who asked. */
static atomic_bool is_bus[DESCRIPTORS];
static pthread_mutex_t turn[DESCRIPTORS] = {[0 ... DESCRIPTORS - 1] = PTHREAD_MUTEX_INITIALIZER};

static int fails(int number)
{
	errno = number;
	return -1;
}

/* The N of /dev/i2c-N, or -1 for any other path. */
static int bus_number(const char *path)
{
	if (path == NULL || strncmp(path, DEVICE, strlen(DEVICE)) != 0 || getenv(FOLDER) == NULL)
		return -1;
	const char *digits = path + strlen(DEVICE);
	size_t count = strspn(digits, "0123456789");
	return count == 0 || count > 3 || digits[count] != '\0' ? -1 : atoi(digits);
}

static int open_bus(int number, int flags)
{
	struct sockaddr_un place = {.sun_family = AF_UNIX};
	int length = snprintf(place.sun_path, sizeof place.sun_path, "%s/i2c-%d", getenv(FOLDER), number);
	if (length < 0 || (size_t)length >= sizeof place.sun_path)
		return fails(ENAMETOOLONG);
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | (flags & O_CLOEXEC ? SOCK_CLOEXEC : 0), 0);
	if (fd < 0)
		return -1;
	int problem = fd >= DESCRIPTORS ? EMFILE : 0;
	if (problem == 0 && connect(fd, (struct sockaddr *)&place, sizeof place) != 0)
		problem = errno == ENOENT || errno == EINTR ? errno : ENXIO;
	if (problem != 0) {
		syscall(SYS_close, fd);
		return fails(problem);
	}
	atomic_store(&is_bus[fd], 1);
	return fd;
}

static int open_any(int folder, const char *path, int flags, mode_t mode)
{
	int number = bus_number(path);
	if (number >= 0)
		return open_bus(number, flags);
	return (int)syscall(SYS_openat, folder, path, flags, mode);
}

/* The mode is given only where a file may be made; the kernel ignores it elsewhere. */
#define MODE_AFTER(flags)                      \
	mode_t mode = 0;                       \
	if ((flags) & (O_CREAT | O_TMPFILE)) { \
		va_list rest;                  \
		va_start(rest, flags);         \
		mode = va_arg(rest, mode_t);   \
		va_end(rest);                  \
	}

int open(const char *path, int flags, ...)
{
	MODE_AFTER(flags)
	return open_any(AT_FDCWD, path, flags, mode);
}

int openat(int folder, const char *path, int flags, ...)
{
	MODE_AFTER(flags)
	return open_any(folder, path, flags, mode);
}

/* On machines of 64 bits these are the same; Python calls the first. */
int open64(const char *path, int flags, ...) __attribute__((alias("open")));
int openat64(int folder, const char *path, int flags, ...) __attribute__((alias("openat")));

int close(int fd)
{
	/* First: as soon as it is closed another thread may get the same number. */
	if (fd >= 0 && fd < DESCRIPTORS)
		atomic_store(&is_bus[fd], 0);
	return (int)syscall(SYS_close, fd);
}

/* Pack the messages; returns the length of the packet, or -1 where i2c-dev would refuse them. */
static ssize_t pack(const struct i2c_rdwr_ioctl_data *asked, char *packet)
{
	size_t sent = 0, answered = sizeof(int32_t);
	if (asked->nmsgs == 0 || asked->nmsgs > I2C_RDWR_IOCTL_MAX_MSGS)
		return -1;
	for (uint32_t i = 0; i < asked->nmsgs; i++) {
		const struct i2c_msg *message = &asked->msgs[i];
		uint16_t head[3] = {message->addr, message->flags, message->len};
		int reading = message->flags & I2C_M_RD;
		size_t body = reading ? 0 : message->len;
		answered += reading ? message->len : 0;
		if (message->len > MESSAGE_BYTES || sent + sizeof head + body > PACKET_BYTES ||
		    answered > PACKET_BYTES)
			return -1;
		memcpy(packet + sent, head, sizeof head);
		memcpy(packet + sent + sizeof head, message->buf, body);
		sent += sizeof head + body;
	}
	return (ssize_t)sent;
}

/* Send the packet and wait for the answer in the same place; returns its length, 0 if it is gone. */
static ssize_t ask(int fd, char *packet, size_t length)
{
	ssize_t got;
	pthread_mutex_lock(&turn[fd]);
	while ((got = send(fd, packet, length, MSG_NOSIGNAL)) < 0 && errno == EINTR)
		;
	if (got > 0)
		while ((got = recv(fd, packet, PACKET_BYTES, 0)) < 0 && errno == EINTR)
			;
	pthread_mutex_unlock(&turn[fd]);
	return got < 0 ? 0 : got;
}

static int transfer(int fd, struct i2c_rdwr_ioctl_data *asked)
{
	char packet[PACKET_BYTES];
	int32_t problem;
	ssize_t length = pack(asked, packet);
	if (length < 0)
		return fails(EINVAL);
	length = ask(fd, packet, (size_t)length);
	if ((size_t)length < sizeof problem)
		return fails(ENODEV);
	memcpy(&problem, packet, sizeof problem);
	if (problem != 0)
		return fails(problem);
	size_t used = sizeof problem;
	for (uint32_t i = 0; i < asked->nmsgs; i++) {
		struct i2c_msg *message = &asked->msgs[i];
		if (!(message->flags & I2C_M_RD))
			continue;
		if (used + message->len > (size_t)length)
			return fails(EIO);
		memcpy(message->buf, packet + used, message->len);
		used += message->len;
	}
	return (int)asked->nmsgs;
}

int ioctl(int fd, unsigned long request, ...)
{
	va_list rest;
	va_start(rest, request);
	void *argument = va_arg(rest, void *);
	va_end(rest);
	if (fd < 0 || fd >= DESCRIPTORS || !atomic_load(&is_bus[fd]))
		return (int)syscall(SYS_ioctl, fd, request, argument);
	switch (request) {
	case I2C_RDWR:
		return transfer(fd, argument);
	case I2C_FUNCS:
		*(unsigned long *)argument = I2C_FUNC_I2C;
		return 0;
	case I2C_SLAVE:
		return 0;
	default:
		return fails(ENOTTY);
	}
}
