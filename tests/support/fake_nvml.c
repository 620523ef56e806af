/* A stand-in for libnvidia-ml.so.1: two GPUs of known doings, less what FAKE_NVML_WITHOUT names. */
#include <stdlib.h>
#include <string.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

enum { SUCCESS = 0, INVALID_ARGUMENT = 2, NOT_SUPPORTED = 3, DRIVER_NOT_LOADED = 9, GPU_IS_LOST = 15 };
enum { GPUS = 2, WATTS = 300 };

static int numbers[GPUS] = {0, 1};

static int lacks(const char *what) {
    const char *without = getenv("FAKE_NVML_WITHOUT");
    return without != NULL && strstr(without, what) != NULL;
}

static double now_s(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec + now.tv_nsec / 1e9;
}

int nvmlInitWithFlags(unsigned int flags) { (void)flags; return lacks("driver") ? DRIVER_NOT_LOADED : SUCCESS; }
int nvmlInit_v2(void) { return nvmlInitWithFlags(0); }
int nvmlShutdown(void) { return SUCCESS; }

const char *nvmlErrorString(int code) {
    return code == NOT_SUPPORTED ? "Not Supported" : code == DRIVER_NOT_LOADED ? "Driver Not Loaded" : "Unknown";
}

int nvmlDeviceGetCount_v2(unsigned int *count) { *count = GPUS; return SUCCESS; }

int nvmlDeviceGetHandleByIndex_v2(unsigned int index, void **device) {
    if (index >= GPUS) return INVALID_ARGUMENT;
    if (index == 1 && lacks("second")) return GPU_IS_LOST;
    *device = &numbers[index];
    return SUCCESS;
}

int nvmlDeviceGetName(void *device, char *name, unsigned int length) {
    (void)device;
    snprintf(name, length, "Fake GPU");
    return SUCCESS;
}

int nvmlDeviceGetUUID(void *device, char *uuid, unsigned int length) {
    snprintf(uuid, length, "GPU-%dabc", *(int *)device);
    return SUCCESS;
}

/* The second GPU draws a third of what the first does. */
static double watts(void *device) { return *(int *)device == 0 ? WATTS : WATTS / 3.0; }

int nvmlDeviceGetPowerUsage(void *device, unsigned int *milliwatts) {
    if (lacks("hang")) sleep(1000);
    if (lacks("power")) return NOT_SUPPORTED;
    *milliwatts = (unsigned int)(watts(device) * 1000);
    return SUCCESS;
}

int nvmlDeviceGetTotalEnergyConsumption(void *device, unsigned long long *millijoules) {
    if (lacks("energy")) return NOT_SUPPORTED;
    *millijoules = lacks("counting") ? 0 : (unsigned long long)(watts(device) * 1000 * now_s());
    return SUCCESS;
}

int nvmlDeviceGetUtilizationRates(void *device, unsigned int rates[2]) {
    if (lacks("utilization")) return NOT_SUPPORTED;
    rates[0] = *(int *)device == 1 && lacks("work") ? 0 : 75;
    rates[1] = 40;
    return SUCCESS;
}

int nvmlDeviceGetMemoryInfo(void *device, unsigned long long memory[3]) {
    (void)device;
    if (lacks("memory")) return NOT_SUPPORTED;
    memory[0] = 80ULL << 30;
    memory[1] = 8ULL << 30;
    memory[2] = 72ULL << 30;
    return SUCCESS;
}

int nvmlDeviceGetClockInfo(void *device, int type, unsigned int *mhz) {
    (void)device;
    if (lacks("clocks")) return NOT_SUPPORTED;
    *mhz = type == 1 ? 1500 : 2600;
    return SUCCESS;
}

int nvmlDeviceGetTemperature(void *device, int sensor, unsigned int *celsius) {
    (void)device;
    (void)sensor;
    if (lacks("temperature")) return NOT_SUPPORTED;
    *celsius = 61;
    return SUCCESS;
}

/* Drivers before 535 have the older name alone; idle, power limit, and a reason that nobody knows. */
int nvmlDeviceGetCurrentClocksThrottleReasons(void *device, unsigned long long *reasons) {
    (void)device;
    if (lacks("reasons")) return NOT_SUPPORTED;
    *reasons = 0x1 | 0x4 | 0x1000;
    return SUCCESS;
}
